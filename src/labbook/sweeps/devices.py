"""One process for each run of a sweep: several devices would start processes that share the run's folder."""

from collections.abc import Mapping
from typing import Any

from labbook.errors import SettingError
from labbook.training import hardware

ONE_PROCESS = ("auto", "single_device", "single_xla", "single_tpu")  # Lightning's strategies without processes
HOW = "a run of a sweep (-m) is one process on one device: use trainer.devices=1, or start the runs one by one"


def check_one_process_per_run(trainer: Mapping[str, Any]) -> None:
    """Refuse what makes several processes of a run on this machine, in any of Lightning's spellings."""
    strategy = trainer.get("strategy") or "auto"
    if strategy not in ONE_PROCESS:
        raise SettingError(f"trainer.strategy={strategy}: {HOW} (trainer=auto)")
    if trainer.get("num_nodes") not in (None, 1):
        raise SettingError(f"trainer.num_nodes={trainer['num_nodes']}: {HOW} (trainer=auto)")
    devices = trainer.get("devices", "auto")
    if (count := device_count(devices, str(trainer.get("accelerator") or "auto"))) > 1:
        raise SettingError(f"trainer.devices={devices} is {count} devices: {HOW}")


def device_count(devices: Any, accelerator: str) -> int:
    """How many devices are meant, in any of Lightning's spellings."""
    parsed = hardware.parse_devices(devices)
    if isinstance(parsed, list):
        return len(parsed)
    return all_devices(accelerator) if parsed == -1 else parsed


def all_devices(accelerator: str) -> int:
    """How many devices there are on this machine, of the kind that would be taken."""
    if accelerator not in ("auto", "gpu", "cuda"):
        return 1
    return max(hardware.describe_machine().gpus, 1)

"""One process per run of a sweep: the processes of several devices would share the run's folder."""

from collections.abc import Mapping
from typing import Any

from labbook.errors import SettingError
from labbook.training import hardware

ONE_PROCESS = ("auto", "single_device", "single_xla", "single_tpu")  # Lightning's strategies with one process
HOW = "a run of a sweep (-m) is one process on one device: use trainer.devices=1, or start the runs one by one"


def check_one_process_per_run(trainer: Mapping[str, Any]) -> None:
    """Refuse settings that start several processes per run on this machine, in any of Lightning's spellings."""
    strategy = trainer.get("strategy") or "auto"
    if strategy not in ONE_PROCESS:
        raise SettingError(f"trainer.strategy={strategy}: {HOW} (trainer=auto)")
    if trainer.get("num_nodes") not in (None, 1):
        raise SettingError(f"trainer.num_nodes={trainer['num_nodes']}: {HOW} (trainer=auto)")
    devices = trainer.get("devices", "auto")
    if (count := device_count(devices, str(trainer.get("accelerator") or "auto"))) > 1:
        raise SettingError(f"trainer.devices={devices} is {count} devices: {HOW}")


def device_count(devices: Any, accelerator: str) -> int:
    """The number of devices, in any of Lightning's spellings."""
    parsed = hardware.parse_devices(devices)
    if isinstance(parsed, list):
        return len(parsed)
    return all_devices(accelerator) if parsed == -1 else parsed


def all_devices(accelerator: str) -> int:
    """The number of devices of this machine, of the kind that would be used."""
    if accelerator not in ("auto", "gpu", "cuda"):
        return 1
    return max(hardware.describe_machine().gpus, 1)

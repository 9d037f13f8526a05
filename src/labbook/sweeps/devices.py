"""One process for each run of a sweep: several devices would start processes that share the run's folder."""

from collections.abc import Mapping
from typing import Any

from labbook.errors import SettingError

ONE_PROCESS = ("auto", "single_device", "single_xla", "single_tpu")  # Lightning's strategies without processes
EVERY = ("auto", "-1", "")
HOW = "a run of a sweep (-m) is one process on one device: use trainer.devices=1, or start the runs one by one"


def check(trainer: Mapping[str, Any]) -> None:
    """Refuse what makes several processes of a run on this machine, in any of Lightning's spellings.

    Raises:
        SettingError: naming the setting.
    """
    strategy = trainer.get("strategy") or "auto"
    if strategy not in ONE_PROCESS:
        raise SettingError(f"trainer.strategy={strategy}: {HOW} (trainer=auto)")
    if trainer.get("num_nodes") not in (None, 1):
        raise SettingError(f"trainer.num_nodes={trainer['num_nodes']}: {HOW} (trainer=auto)")
    devices = trainer.get("devices")
    if (count := number(devices, str(trainer.get("accelerator") or "auto"))) > 1:
        raise SettingError(f"trainer.devices={devices} is {count} devices: {HOW}")


def number(devices: Any, accelerator: str) -> int:
    """How many devices are meant by 2, "2", [0, 1], "0,1", -1 or auto; what is none of these counts as one."""
    text = "auto" if devices is None else str(devices).strip("[]() ")
    if text in EVERY:
        return every(accelerator)
    if "," in text:
        return len([part for part in text.split(",") if part.strip()])
    listed = not isinstance(devices, (int, str))  # [3] is the device of that number
    return int(text) if text.isdecimal() and not listed else 1


def every(accelerator: str) -> int:
    """How many devices there are on this machine, of the kind that would be taken."""
    if accelerator not in ("auto", "gpu", "cuda"):
        return 1
    from labbook.training import hardware

    return max(hardware.describe().gpus, 1)

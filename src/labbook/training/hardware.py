"""What `auto` means: functions from a description of the machine to device, precision and layout."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labbook.config.vocabulary import override_value
from labbook.errors import SettingError, UntrainableError, list_choices
from labbook.lazy_imports import process_number

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from pytorch_lightning import LightningModule

Accelerator = Literal["cpu", "gpu", "mps"]
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
UNSCALED = "task.sam does not work with scaled gradients: use trainer.precision=bf16-mixed or 32"
# Lightning reads these variables as numbers if a run has several processes.
OF_SEVERAL = ("NODE_RANK", "GROUP_RANK", "MASTER_PORT", "STANDALONE_PORT")
# Set by Slurm, torchrun, LSF and MPI in the processes they start, or by a user on each machine.
OF_CLUSTERS = ("SLURM_JOB_ID", "MASTER_ADDR", "LSB_JOBID", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
# Multiply-adds of a step, forward, between the largest network that is slower in bf16 on a CPU and the smallest that is
# faster: 52 million (C1's MLP, batches of 128) and 312 million (C2, batches of 128).
SMALL = 128 * 10**6
# The same for a step that one thread computes about as fast as two: 3.3 million (lab E's MLP, batches of 32: 0.95 to
# 1.3 times the speed), but not 13 million (batches of 128: 0.75 times). With another busy program on two cores, one
# thread is seven times as fast for the first, because two wait for each other.
TINY = 4 * 10**6
THREADS = "OMP_NUM_THREADS"  # set by a user, or by a launcher that starts several runs
PRECISIONS = ("auto", "32", "32-true", "16-mixed", "bf16-mixed")


@dataclass(frozen=True)
class Machine:
    """Facts for the rules. `capability` is CUDA's compute capability, such as (8, 0) for an A100."""

    gpus: int = 0
    capability: tuple[int, int] = (0, 0)
    gpu_name: str = ""
    mps: bool = False
    cpu_name: str = "CPU"
    cpu_cores: int = 1
    cpu_bf16: bool = False  # AMX or AVX512-BF16


@dataclass(frozen=True)
class DeviceChoice:
    """The device, its precision and layout, and the reasons in words."""

    accelerator: Accelerator
    precision: str
    channels_last: bool
    reason: str
    threads: int | None = None  # for a CPU; None: as many as torch uses by itself


def describe_machine() -> Machine:
    import torch

    from labbook.training.torch_internals import cpu_multiplies_bf16

    gpus = torch.cuda.device_count()
    capabilities = [torch.cuda.get_device_capability(index) for index in range(gpus)]
    return Machine(
        gpus=gpus,
        capability=min(capabilities, default=(0, 0)),
        gpu_name=torch.cuda.get_device_name(0) if gpus else "",
        mps=torch.backends.mps.is_available(),
        cpu_name=cpu_name(),
        cpu_cores=os.cpu_count() or 1,
        cpu_bf16=cpu_multiplies_bf16(),
    )


def cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as info:
            return next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "CPU"


def check_threads(asked: int | None) -> None:
    """Refuse more threads than this process has cores."""
    if asked is not None and asked > (cores := usable_cores()):
        raise SettingError(f"threads={asked}: this process has {cores} cores, so use 1 to {cores}, or null")


def usable_cores() -> int:
    """The cores that this process may use, of which a cluster or `taskset` may leave a part."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_num_nodes(count: Any) -> None:
    """Refuse several machines if no environment variable describes the others: the run would wait forever."""
    if isinstance(count, int) and count > 1 and not any(name in os.environ for name in OF_CLUSTERS):
        raise UntrainableError(
            f"trainer.num_nodes={count}: this process does not know the other machines: start it with srun (Slurm)"
            " or torchrun, or set MASTER_ADDR, MASTER_PORT and NODE_RANK on each of them"
        )


def parse_devices(asked: Any) -> int | list[int]:
    """Parse 2, "2", [0, 1], "0,1", -1 and auto: a number of devices, -1 for all, or a list of indices."""
    listed = asked.removesuffix(",").split(",") if isinstance(asked, str) and "," in asked else asked
    if isinstance(listed, Sequence) and not isinstance(listed, str):
        numbers = [int(item) if str(item).strip().isdecimal() else -1 for item in listed]
        if numbers and min(numbers) >= 0 and len(set(numbers)) == len(numbers):
            return numbers
    elif str(asked) in ("auto", "-1"):
        return -1
    elif str(asked).isdecimal() and int(asked) > 0:
        return int(asked)
    raise UntrainableError(
        f"trainer.devices={override_value(asked)} must be a number of devices, such as 2, or the different numbers of"
        " some, such as [0,1], or auto"
    )


def device_count(devices: Any, accelerator: str) -> int:
    """The number of devices, in any of Lightning's spellings; -1 is all of this machine."""
    parsed = parse_devices(devices)
    if isinstance(parsed, list):
        return len(parsed)
    if parsed != -1:
        return parsed
    return max(describe_machine().gpus, 1) if accelerator in ("auto", "gpu", "cuda") else 1


def check_devices(trainer: Mapping[str, Any], accelerator: Accelerator, machine: Machine) -> None:
    asked = trainer.get("devices", "auto")
    devices = parse_devices(asked)
    if accelerator == "gpu":
        numbers = devices if isinstance(devices, list) else range(devices)
        fits, there = max(numbers, default=0) < machine.gpus, f"this machine has {machine.gpus} GPU(s), numbered from 0"
    elif accelerator == "mps":
        fits, there = asked in ("auto", 1, "1"), "this machine has one device: use trainer.devices=1"
    else:
        cores = machine.cpu_cores
        fits = asked == "auto" or (isinstance(devices, int) and 1 <= devices <= cores)
        there = f"on a CPU it is a number of processes, and this machine has cores for {cores}"
    if not fits:
        raise SettingError(f"trainer.devices={override_value(asked)}: {there}")
    if devices not in (1, -1) or trainer.get("strategy", "auto") != "auto" or trainer.get("num_nodes", 1) != 1:
        for variable in OF_SEVERAL:
            process_number(variable)


def choose_accelerator(asked: str, machine: Machine) -> Accelerator:
    """CUDA, then MPS, then CPU, unless asked otherwise."""
    present = {"gpu": machine.gpus > 0, "cuda": machine.gpus > 0, "mps": machine.mps, "cpu": True}
    if asked == "auto":
        return "gpu" if present["gpu"] else "mps" if present["mps"] else "cpu"
    if asked not in present:
        raise SettingError(f"trainer.accelerator={asked} is unknown; {list_choices(asked, ACCELERATORS)}")
    if not present[asked]:
        here = ", ".join(name for name in ("gpu", "mps", "cpu") if present[name])
        raise SettingError(
            f"trainer.accelerator={asked}: this machine has none; it has {here}, and trainer=auto uses the best"
        )
    return "gpu" if asked in ("gpu", "cuda") else "mps" if asked == "mps" else "cpu"


def choose_precision(
    asked: str,
    accelerator: Accelerator,
    machine: Machine,
    strided_depthwise: bool = False,
    sam: bool = False,
    small: bool = False,
) -> tuple[str, str]:
    """The precision, and why.

    `auto` is bf16 if the hardware multiplies it natively: CUDA from compute capability 8.0, CPUs with AMX or
    AVX512-BF16. Capability 7.0 and 7.5 (V100, T4) use 16-bit floats. Measured on a CPU without AMX: bf16 makes
    AlexNet's step 40 times slower. With AMX, 32 bits take 1.5 (C2), 1.7 (AlexNet) and 2.2 times as long (cats-and-dogs
    network), 0.94 to 0.99 for LeNet-5 and MLPs: a `small` network has fewer than `SMALL` multiply-adds in a step.

    CPUs have no fast bf16 gradient for strided depthwise convolutions: it takes 25 times as long, and the step of
    MobileNetV2 1.5, EfficientNet-B0 2.1, MobileNetV3-Small 2.9 times. Frozen ones have no gradient: there, 32 bits take
    1.7 to 2.4 times as long. 16-bit floats need scaled gradients, which sharpness-aware steps cannot use.
    """
    if asked not in PRECISIONS:
        raise SettingError(f"trainer.precision={asked} is unknown; {list_choices(asked, PRECISIONS)}")
    if asked == "16-mixed" and accelerator == "cpu":  # Lightning would use bf16 instead
        raise SettingError("trainer.precision=16-mixed is not for CPUs: use trainer.precision=bf16-mixed or 32")
    if asked == "16-mixed" and sam:
        raise SettingError(UNSCALED)
    if asked != "auto":
        return ("32-true" if asked == "32" else asked, "as set")
    if accelerator == "gpu":
        major, number = machine.capability[0], "capability {}.{}".format(*machine.capability)
        if major >= 8:
            return "bf16-mixed", f"{number} supports bf16"
        if major == 7 and sam:
            return "32-true", f"{number} does not support bf16, and task.sam cannot use 16-bit floats"
        if major == 7:
            return "16-mixed", f"{number} supports 16-bit floats but not bf16"
        return "32-true", f"{number} is slow with fewer than 32 bits"
    if accelerator == "mps":
        return "32-true", "MPS"
    if not machine.cpu_bf16:
        return "32-true", "this CPU has no bf16 instructions"
    if small:
        return "32-true", f"faster than bf16 below {SMALL // 10**6} million multiply-adds per step"
    if strided_depthwise:
        return "32-true", "CPUs are slow at strided depthwise convolutions in bf16"
    return "bf16-mixed", "this CPU supports bf16"


def choose_for_run(config: "DictConfig", model: "LightningModule") -> DeviceChoice:
    from labbook.training.capabilities import has_strided_depthwise, is_classifier  # imports torch
    from labbook.training.probe import multiply_adds

    def needs_fewer(limit: int) -> bool:
        """Whether a step of training has fewer multiply-adds than `limit`; counted only if the weights allow it."""
        size = config.data.get("batch_size")
        if not (is_classifier(model) and isinstance(size, int) and size * weights < limit):
            return False
        return size * multiply_adds(model) < limit

    machine = describe_machine()
    weights = sum(weight.numel() for weight in model.parameters())  # each is used at least once for an image
    choice = choose_device(
        config.trainer,
        machine,
        config.channels_last,
        has_strided_depthwise(model),
        sam=is_classifier(model) and model.task.sam > 0,
        small=machine.cpu_bf16 and needs_fewer(SMALL),
    )
    if config.threads is None and choice.accelerator == "cpu" and THREADS not in os.environ and needs_fewer(TINY):
        return replace(choice, threads=1)
    return choice


def choose_device(
    asked: Mapping[str, Any],
    machine: Machine,
    channels_last: bool | None = None,
    strided_depthwise: bool = False,
    sam: bool = False,
    small: bool = False,
) -> DeviceChoice:
    """Everything that `auto` leaves open, from the trainer settings `accelerator` and `precision`.

    Channels-last convolutions: on a CPU, channels first takes 1.3 (LeNet-5), 1.5 (C2), 1.1 (AlexNet) and 1.7 times as
    long (cats-and-dogs network). CUDA tensor cores need it. MPS gains nothing.
    """
    accelerator = choose_accelerator(str(asked.get("accelerator", "auto")), machine)
    wanted = str(asked.get("precision", "auto"))
    precision, why = choose_precision(wanted, accelerator, machine, strided_depthwise, sam, small)
    name = {"gpu": machine.gpu_name, "mps": "Apple GPU", "cpu": machine.cpu_name}[accelerator]
    layout = accelerator != "mps" if channels_last is None else channels_last
    return DeviceChoice(accelerator, precision, layout, f"{accelerator.upper()} ({name}), {precision} ({why})")

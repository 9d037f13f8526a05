"""What the launchers of others need."""

import importlib
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, read_write

from labbook.errors import SettingError

# The errors of joblib, Ray and submitit for a killed process.
DEATHS = (
    "TerminatedWorkerError",
    "BrokenProcessPool",
    "WorkerCrashedError",
    "OutOfMemoryError",
    "FailedJobError",
    "UncompletedJobError",
)
ON_OTHER_MACHINES = ("RayLauncher", "SlurmLauncher")  # perhaps


# Launchers of submitit, and what becomes of their runs if the command ends.
REMAINING = {
    "LocalLauncher": "; the processes of submitit continue until their runs are finished",
    "SlurmLauncher": "; its jobs stay with Slurm (scancel stops them)",
}


def is_whole_number(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value >= least


def is_positive_number(value: Any) -> bool:
    return type(value) in (int, float) and value > 0


# Settings for which launchers and sweepers print a traceback or wait forever: setting -> valid values, in words and as
# a test; null is valid if the configuration has it.
LIMITS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "launcher.n_jobs": ("a number of runs at once, or -1 for one per core",
        lambda value: isinstance(value, int) and value != 0),
    "launcher.inner_max_num_threads": ("at least 1, or null", is_whole_number(1)),
    "launcher.batch_size": ("at least 1, or auto", lambda value: value == "auto" or is_whole_number(1)(value)),
    "launcher.pre_dispatch": ("all, n_jobs, or a multiple such as 2*n_jobs",
        lambda value: is_whole_number(1)(value) or bool(re.fullmatch(r"all|([1-9]\d*\s*\*\s*)?n_jobs", str(value)))),
    "launcher.ray.init.num_cpus": ("at least 1, or null", is_whole_number(1)),
    "launcher.ray.remote.num_cpus": ("more than 0", is_positive_number),
    "launcher.ray.remote.num_gpus": ("at least 0, or null", lambda value: value == 0 or is_positive_number(value)),
    "launcher.ray.remote.max_retries": ("at least -1", is_whole_number(-1)),
    "launcher.timeout_min": ("at least 1", is_whole_number(1)),
    "launcher.signal_delay_s": ("at least 0", is_whole_number(0)),
    "launcher.max_num_timeout": ("at least 0", is_whole_number(0)),
    "launcher.cpus_per_task": ("at least 1, or null", is_whole_number(1)),
    "launcher.gpus_per_node": ("at least 0, or null", is_whole_number(0)),
    "launcher.mem_gb": ("more than 0, or null", is_positive_number),
    "launcher.array_parallelism": ("at least 1", is_whole_number(1)),
    "launcher.tasks_per_node": ("1: a run of a sweep is one process", lambda value: value == 1),
    "launcher.nodes": ("1: a run of a sweep is one process", lambda value: value == 1),
    "sweeper.n_jobs": ("at least 1", is_whole_number(1)),
    "sweeper.max_batch_size": ("at least 1, or null", is_whole_number(1)),
}  # fmt: skip
OPTIONAL = re.compile(r", or null$")


def check_launcher(hydra: DictConfig) -> None:
    """Refuse settings that a launcher or a sweeper cannot use, from Hydra's node."""
    missing = object()
    for name, (words, valid) in LIMITS.items():
        value = OmegaConf.select(hydra, name, default=missing)
        if value is missing or (value is None and OPTIONAL.search(words)) or valid(value):
            continue
        raise SettingError(f"hydra.{name}={value} must be {words}")


def runs_elsewhere(launcher: Launcher) -> bool:
    """Whether a launcher's runs are in other processes."""
    return type(launcher).__name__ != "BasicLauncher"


def prepare_launcher(launcher: Launcher) -> None:
    """Give a launcher what is only known at run time: the number of GPUs for Ray.

    And a folder for submitit's files: those are pickles, so the folder has a new, unpredictable name.
    """
    if type(launcher).__name__ in REMAINING:
        params = vars(launcher)["params"]
        folder = Path(params["submitit_folder"])
        if not re.fullmatch(r"[0-9a-f]{32}", folder.parent.name):  # a search launches again and again
            params["submitit_folder"] = str(folder.parent / secrets.token_hex(16) / folder.name)
    if type(launcher).__name__ == "RayLauncher":
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # lines of different runs may be equal
        options: DictConfig = vars(launcher)["ray_cfg"]
        if options.remote.num_gpus is None:
            gpus = 1 if gpus_of_ray(options.init) else 0
            with read_write(options):
                options.remote.num_gpus = gpus


def gpus_of_ray(init: DictConfig) -> float:
    """The GPUs of the cluster, or of this machine; joins or starts it."""
    ray: Any = importlib.import_module("ray")  # is not typed
    if not ray.is_initialized():
        options: Any = OmegaConf.to_container(init, resolve=True)
        ray.init(**options)
    return float(ray.cluster_resources().get("GPU", 0))


def remaining_runs_note(launcher: Launcher) -> str:
    """A note on runs that do not end with the command that started them."""
    return REMAINING.get(type(launcher).__name__, "")

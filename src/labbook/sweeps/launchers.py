"""What the launchers of others need to be told."""

import importlib
import os
import re
import secrets
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, read_write

# How joblib, Ray and submitit say that a process of theirs was killed.
DEATHS = (
    "TerminatedWorkerError",
    "BrokenProcessPool",
    "WorkerCrashedError",
    "OutOfMemoryError",
    "FailedJobError",
    "UncompletedJobError",
)


def parallel(launcher: Launcher) -> bool:
    """Whether a launcher's runs are in other processes than this one."""
    return type(launcher).__name__ != "BasicLauncher"


def prepare(launcher: Launcher) -> None:
    """Give a launcher what only the running program knows: how many GPUs Ray has to hand out.

    And where submitit may keep its files: those are pickles, so only a folder whose name nobody could know before is
    one where none can have been laid for it.
    """
    if type(launcher).__name__ in ("LocalLauncher", "SlurmLauncher"):
        params = vars(launcher)["params"]
        folder = Path(params["submitit_folder"])
        if not re.fullmatch(r"[0-9a-f]{32}", folder.parent.name):  # a search launches again and again
            params["submitit_folder"] = str(folder.parent / secrets.token_hex(16) / folder.name)
    if type(launcher).__name__ == "RayLauncher":
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # lines of different runs may look alike
        options: DictConfig = vars(launcher)["ray_cfg"]
        if options.remote.num_gpus is None:
            gpus = 1 if gpus_of_ray(options.init) else 0
            with read_write(options):
                options.remote.num_gpus = gpus


def gpus_of_ray(init: DictConfig) -> float:
    """The GPUs of the cluster, or of this machine; joins or starts it."""
    from hydra_plugins.hydra_ray_launcher._launcher_util import start_ray

    start_ray(init)
    ray: Any = importlib.import_module("ray")  # is not typed
    return float(ray.cluster_resources().get("GPU", 0))


def where_output_goes(launcher: Launcher) -> str:
    """What to say of the output of runs that do not print to this terminal."""
    if type(launcher).__name__ in ("LocalLauncher", "SlurmLauncher"):
        return "each run writes to train.log in its own folder"
    return ""


def what_goes_on(launcher: Launcher) -> str:
    """What to say of runs that do not end with the command that started them."""
    name = type(launcher).__name__
    if name == "SlurmLauncher":
        return "; its jobs stay with Slurm (scancel ends them)"
    return "; the processes of submitit go on until their runs are done" if name == "LocalLauncher" else ""


def missing_extra(message: str) -> tuple[str, str] | None:
    """The group and the extra to install, from what Hydra says of a plugin that is missing; None of anything else."""
    if message.startswith("Unknown plugin class : 'labbook.sweeps.search."):
        return "hydra/sweeper", "optuna"
    named = re.match(r"Unknown plugin class : 'hydra_plugins\.hydra_(\w+?)_launcher\.", message)
    return ("hydra/launcher", named.group(1)) if named else None

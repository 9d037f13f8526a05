"""The kinds of classes that each group's `_target_` may be."""

import inspect
import typing
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer, callbacks
from pytorch_lightning.loggers import Logger
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import Metric

from labbook.config import secrets
from labbook.config.failures import LIBRARIES
from labbook.config.path_rules import escapes_folder
from labbook.config.several import SEVERAL
from labbook.errors import SettingError, UntrainableError, abbreviate

Interval = Literal["step", "epoch"]


@dataclass(frozen=True)
class Schedule:
    """A scheduler, and how often to step it."""

    scheduler: LRScheduler
    interval: Interval


@runtime_checkable
class Scheduler(Protocol):
    """A scheduler of timm: it gets the number of finished epochs, or of finished updates."""

    def step(self, epoch: int) -> None: ...

    def step_update(self, num_updates: int) -> None: ...


ALLOWED_BASES: dict[str, tuple[type, ...]] = {
    "model": (LightningModule,),
    "data": (LightningDataModule,),
    "optimizer": (Optimizer,),
    "scheduler": (Schedule, LRScheduler, Scheduler),
    "loss": (nn.Module,),
    "trainer": (Trainer,),
    "logger": (Logger,),
    "callbacks": (Callback,),
    "metrics": (Metric,),
}
NAMED = {"callbacks": "callback", "metrics": "metric"}  # groups of named nodes
# Groups whose targets get arguments from the training, the first and these by name.
DEFERRED: dict[str, tuple[str, ...]] = {"optimizer": (), "scheduler": ("epochs", "steps_per_epoch")}
FOR_HYDRA = ("_args_", "_recursive_", "_isolate_", "_execution_whitelist_")

# Classes with which config.yaml and metrics.csv of a run are wrong, most of them Lightning's callbacks, and what to use
# instead.
REFUSED: dict[type[Any] | str, str] = {
    callbacks.BatchSizeFinder: "use data.batch_size=auto",
    callbacks.LearningRateFinder: "use scripts/find_lr.py before the training",
    callbacks.BaseFinetuning: "use model.freeze=backbone, or task.backbone_lr_factor=X for a slower backbone",
    callbacks.WeightAveraging: "use callbacks=ema",  # and EMAWeightAveraging
    callbacks.StochasticWeightAveraging: "use callbacks=swa",
    callbacks.GradientAccumulationScheduler: "use trainer.accumulate_grad_batches=N",
    callbacks.ModelPruning: "its checkpoints do not fit the network, so leave it out",
    callbacks.OnExceptionCheckpoint: "a run always saves its state: use checkpoint.every_minutes=N",
    callbacks.ProgressBar: "use callbacks.progress.bar=true",
    callbacks.BasePredictionWriter: "use scripts/predict.py after the training",
    callbacks.SpikeDetection: "a run stops when its loss is not finite, so leave it out",
    callbacks.ThroughputMonitor: "metrics.csv has images_per_second, so leave it out",
    ReduceLROnPlateau: "use scheduler=plateau",
    "timm.scheduler.plateau_lr.PlateauLRScheduler": "use scheduler=plateau",
    "timm.optim.lookahead.Lookahead": "use callbacks=lookahead",
    callbacks.Timer: "it stops within an epoch: use epochs=N",
}

# Classes of torchmetrics that download the weights of a network.
FETCHING = (
    *(f"torchmetrics.{name}" for name in ("audio", "multimodal", "text", "image.arniqa", "image.dists", "image.fid")),
    *(f"torchmetrics.image.{name}" for name in ("inception", "kid", "lpip", "mifid", "perceptual_path_length")),
)

# Settings of Lightning's callbacks, loggers and profilers that name output files.
WRITING = ("callbacks", "logger", "trainer")
FOLDERS = ("dir", "dirpath", "root_dir", "save_dir")
FILES = ("filename", "name", "prefix", "sub_dir", "version")


def check_target_kind(target: Any, node: Mapping[str, Any], name: str) -> None:
    """Refuse a target of the node `name` that is of another kind than its group."""
    group, _, inner = name.partition(".")
    if group not in ALLOWED_BASES:
        return
    setting = f"{name}._target_={node['_target_']}"
    if str(getattr(target, "__module__", "")).startswith(FETCHING):
        raise SettingError(f"{setting} would download weights: use a class that only computes")
    if group in NAMED and not inner:
        raise SettingError(f"{setting}: a {NAMED[group]} has a name of its own, {group}.NAME._target_=...")
    if not inner or (group in SEVERAL and "." not in inner):
        made = return_type(target)
        if made is None or not issubclass(made, ALLOWED_BASES[group]):
            expected = " or ".join(
                "a scheduler of timm" if kind is Scheduler else f"{kind.__name__} ({kind.__module__})"
                for kind in ALLOWED_BASES[group]
            )
            is_not = "is not a subclass of" if inspect.isclass(target) else "does not return a"
            raise SettingError(f"{setting} {is_not} {expected}")
        kinds = (*made.__mro__, f"{made.__module__}.{made.__name__}")
        if instead := next((text for kind, text in REFUSED.items() if kind in kinds), None):
            raise UntrainableError(f"{setting} does not work here: {instead}")
    elif not inspect.isclass(target):
        raise SettingError(f"{setting} is a function; inside {group} only classes are allowed")
    if not inspect.isclass(target) and str(getattr(target, "__module__", "")).startswith(LIBRARIES):
        raise SettingError(f"{setting} is a function of another library, and only its classes are allowed")
    if node.get("_partial_") and (inner or group not in DEFERRED):
        raise SettingError(f"{name}._partial_=true is for {' and '.join(DEFERRED)} only: leave it out")


def return_type(target: Any) -> type | None:
    """The class that a class or function creates; None if a function has no annotation."""
    found = target
    if not inspect.isclass(target):
        with suppress(NameError, TypeError):
            found = typing.get_type_hints(target).get("return")
    return found if inspect.isclass(found) else None


def check_setting_allowed(name: str, value: Any) -> None:
    """Refuse a setting with a secret, or one that would write outside the run's folder."""
    secrets.check_not_secret(name, value)
    group, key = name.partition(".")[0], name.rpartition(".")[2]
    if group not in WRITING or value is None:
        return
    if key in FOLDERS:
        raise SettingError(f"{name} is set by the program: what a run writes goes into its folder, so leave it out")
    if key in FILES and isinstance(value, str) and escapes_folder(value):
        raise SettingError(f"{name}={abbreviate(value)} leads out of the run's folder")

"""The metrics of an epoch: from what a module logs to the values of a row."""

from collections.abc import Mapping
from functools import wraps
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from labbook.training.epoch_rows import is_layer_metric
from labbook.training.lightning_internals import logs_each_step

LOADER = "/dataloader_idx_"  # Lightning adds this and a number to the metric names of several loaders
FORKS = ("_step", "_epoch")  # Lightning adds these to a metric that is logged by step and by epoch


def log_epoch(model: LightningModule, metrics: Mapping[str, float]) -> None:
    """Log metrics of an epoch, equal in all processes, in full precision; Lightning makes numbers float32."""
    several = model.trainer.world_size > 1
    device = model.device if several else torch.device("cpu")  # NCCL needs GPU tensors; MPS has no float64
    values = {name: torch.tensor(value, dtype=torch.float64, device=device) for name, value in metrics.items()}
    model.log_dict(values, batch_size=1, sync_dist=several)


class EpochMetrics:
    """The metrics that a module logs; those of whole epochs are written by the recorder's loggers.

    Lightning would log them after the epoch's checkpoint, and a run killed in between would lose them. Metrics of
    single steps are logged as usual.
    """

    def __init__(self) -> None:
        self.validated: set[str] = set()  # names logged in a validation
        self.unlogged: set[str] = set()  # names logged with logger=False

    def follow(self, model: LightningModule) -> None:
        """Watch what the module logs with `log` or `log_dict`; call once per module."""
        if "log" in vars(model):
            return
        original = model.log

        @wraps(original)
        def log(name: str, value: Any, *positional: Any, **options: Any) -> None:
            trainer = model.trainer
            if trainer.validating or trainer.evaluating:
                self.validated.add(name)
            if options.get("logger") is False:
                self.unlogged.add(name)
            if (
                not positional
                and options.get("logger") is None
                and logs_each_step(model, options.get("on_step")) is False
            ):
                options["logger"] = False
            original(name, value, *positional, **options)

        vars(model)["log"] = log

    def of(self, logged: Mapping[str, Tensor], validated: bool) -> dict[str, float]:
        """Metrics by name, training first; without those of an older validation if there was none in this epoch."""
        own = {name: value.item() for name, value in logged.items() if name not in forked_names(logged)}
        held_out = {name: value for name, value in own.items() if self._is_of_validation(name)}
        trained = {name: value for name, value in own.items() if name not in held_out}
        found = in_layer_order(trained) | (in_layer_order(held_out) if validated else {})
        return {name: found[name] for name in sorted(found, key=lambda name: name.startswith("gradient/"))}

    def for_loggers(self, values: Mapping[str, float]) -> dict[str, float]:
        """The metrics of a row, or of a finished run, that loggers get."""
        return {name: value for name, value in values.items() if name.partition(LOADER)[0] not in self.unlogged}

    def _is_of_validation(self, name: str) -> bool:
        return name.partition(LOADER)[0] in self.validated


def in_layer_order(metrics: Mapping[str, float]) -> dict[str, float]:
    """Sorted by name; the layers of a network keep their order."""
    return {name: metrics[name] for name in sorted(metrics, key=lambda name: "" if is_layer_metric(name) else name)}


def forked_names(logged: Mapping[str, Any]) -> set[str]:
    """The names that Lightning adds for a metric that is logged by step and by epoch."""
    added = set()
    for name in logged:
        base, loader, number = name.partition(LOADER)
        forks = {f"{base}{fork}{loader}{number}" for fork in FORKS}
        if forks <= logged.keys():
            added |= forks
    return added

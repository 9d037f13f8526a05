"""A progress bar for the steps of an epoch."""

import math
import sys
import time
from importlib.util import find_spec
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

REFRESH = 0.2  # seconds between two updates of the bar
TASK = TaskID(0)  # the only one


def can_draw() -> bool:
    """Whether there is a terminal, or a notebook with the package that rich needs for one."""
    return sys.stdout.isatty() or (Console().is_jupyter and find_spec("ipywidgets") is not None)


class Progress(Callback):
    """A progress bar for the steps of an epoch; by default only where it can be drawn."""

    def __init__(self, bar: bool | None = None) -> None:
        self.wanted = can_draw() if bar is None else bar
        self._bar: Bar | None = None
        self._drawn = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(trainer)

    def _start(self, trainer: Trainer, completed: int = 0) -> None:
        if not (self.wanted and trainer.is_global_zero):
            return
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, auto_refresh=False, transient=True)
            self._bar.start()
            self._bar.add_task("")
        self._bar.reset(
            TASK,
            total=int(trainer.num_training_batches) if math.isfinite(trainer.num_training_batches) else None,
            completed=completed,
            description=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}",
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.wanted and self._bar is None:  # resumed within the epoch
            self._start(trainer, batch_idx + 1)
        if self._bar is not None and time.monotonic() - self._drawn > REFRESH:
            self._drawn = time.monotonic()
            self._bar.update(TASK, completed=batch_idx + 1, refresh=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.on_train_end(trainer, pl_module)

"""When the state of a run is saved; a signal stops a run after its state is saved."""

import logging
import math
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer

from labbook.callbacks.early_stopping import restore_without_settings, why_still_stopped, why_stopped
from labbook.callbacks.ema import EMA
from labbook.callbacks.resume_state import ResumeState
from labbook.errors import SettingError, StoppedBySignal, TrainingError
from labbook.runs import run_folder
from labbook.signals import StopSignals
from labbook.training import capabilities, objectives
from labbook.training.checkpoint_io import CHECKPOINTS
from labbook.training.epoch_rows import Row, metric_names
from labbook.training.metrics import divergence_message
from labbook.training.processes import any_rank

log = logging.getLogger("labbook")

FLOAT32 = 1e-7  # relative difference of metrics that are equal in float32, as version 0.1 saved them


class RunCheckpoints:
    """Saves last.ckpt after each epoch, every `every_minutes` and on a signal; best.ckpt if the objective improves."""

    def __init__(
        self,
        folder: Path,
        signals: StopSignals,
        *,
        objective: str = "val/acc",
        falls: bool = False,
        select: bool = True,
        every_minutes: float = 10.0,
        deciding: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.signals, self.select = folder, signals, select
        self.objective, self.falls = objective, falls  # a metric, and whether smaller is better
        self.every_seconds = 60 * every_minutes
        self.best: float | None = None
        self.best_epoch: int | None = None  # from 1
        self.unselected = 0
        self.deciding = dict(deciding or {})  # settings of the callbacks that may end the training
        self.stopped = ""  # why the training ended early
        self.resume_state = ResumeState()
        self._saved_at = time.monotonic()

    @property
    def best_path(self) -> Path:
        return self.folder / run_folder.BEST

    def is_better(self, value: float) -> bool:
        """Whether the objective is at least as good as the best: of equal epochs, the later one counts."""
        if not math.isfinite(value) or self.best is None:
            return math.isfinite(value)
        equal = math.isclose(value, self.best, rel_tol=FLOAT32)
        return equal or (value < self.best if self.falls else value > self.best)

    def stopped_early(self, trainer: Trainer, epochs: int) -> str:
        """After which epoch the training ended early, and why; empty if it did not."""
        early = self.stopped and trainer.current_epoch < epochs
        return f"after epoch {trainer.current_epoch} of {epochs}: {self.stopped}" if early else ""

    def make_folder(self) -> None:
        """Create the folder, and start counting the minutes."""
        self.folder.mkdir(exist_ok=True)
        self._saved_at = time.monotonic()

    # When --------------------------------------------------------------------------------------------------------

    def after_step(self, trainer: Trainer, model: LightningModule, done: int) -> None:
        """Save in the middle of an epoch, after `done` batches, if it is time or a signal came.

        Not within an accumulated step, because its gradients are in no checkpoint. Not after the last batch of an
        epoch, because the validation or the end of the epoch follows.
        """
        last = done == trainer.num_training_batches
        if last:
            self.resume_state.end_training_steps(trainer)
        if not self.resume_state.within_epoch:
            self.stop_if_signalled(trainer)
        elif not last and done % trainer.accumulate_grad_batches == 0:
            self._save_if_due(trainer, model)

    def after_validation_step(self, trainer: Trainer, model: LightningModule) -> None:
        """Save in the middle of validation; a resumed run repeats the whole validation."""
        if not self.resume_state.within_epoch:  # validation is part of its epoch
            self.stop_if_signalled(trainer)
            return
        self.resume_state.validating = True
        try:
            self._save_if_due(trainer, model)
        finally:
            self.resume_state.validating = False

    def save_epoch(self, trainer: Trainer, model: LightningModule, row: Row, validated: bool) -> None:
        """Save the epoch with this row of metrics, and best.ckpt if the objective improved.

        Raises:
            TrainingError: a loss, the objective or a weight is not finite.
        """
        self._mend_folder()
        if (validated or not trainer.limit_val_batches) and self.objective not in row:
            setting, title = f"objective={self.objective}", capabilities.model_title(model)
            raise SettingError(objectives.unlogged_message(setting, title, metric_names(row)))
        for name in ("val/loss", self.objective):
            if not math.isfinite(row.get(name, 0.0)):
                named = "validation loss" if name == "val/loss" else name
                raise TrainingError(divergence_message(f"{named} became {row[name]}", trainer.global_step))
        self._refuse_diverged(trainer, model)
        value = row.get(self.objective)
        if self.select and value is not None and self.is_better(value):
            self.best, self.best_epoch = value, trainer.current_epoch + 1
            self._write(trainer, self.best_path, weights_only=True)
        if not self.select:
            self.unselected = trainer.current_epoch + 1
        self.stopped = why_stopped(trainer)
        self._save_last(trainer, model)
        self.stop_if_signalled(trainer)

    def _save_if_due(self, trainer: Trainer, model: LightningModule) -> None:
        late = time.monotonic() - self._saved_at > self.every_seconds
        if any_rank(trainer, self.signals.received is not None or late):
            self._save_last(trainer, model)
            self.stop_if_signalled(trainer)

    def stop_if_signalled(self, trainer: Trainer) -> None:
        if any_rank(trainer, self.signals.received is not None):
            raise StoppedBySignal(self.signals.received or signal.SIGTERM)

    # What --------------------------------------------------------------------------------------------------------

    def _save_last(self, trainer: Trainer, model: LightningModule) -> None:
        self._refuse_diverged(trainer, model)
        self._mend_folder()
        self._write(trainer, self.folder / run_folder.LAST, weights_only=False)
        self._saved_at = time.monotonic()

    def _mend_folder(self) -> None:
        if not self.folder.is_dir() and self.folder.parent.is_dir():
            again = ", and the best epoch is selected again" if self.best is not None else ""
            log.warning("%s was deleted during the training: it is created again%s", self.folder, again)
            self.folder.mkdir(exist_ok=True)
            self.best, self.best_epoch = None, None

    def _write(self, trainer: Trainer, path: Path, weights_only: bool) -> None:
        try:
            trainer.save_checkpoint(path, weights_only=weights_only)
        except OSError as error:
            good = run_folder.saved_states(self.folder.parent)
            still = f"{good[0]} is unchanged and valid" if good else "there is no earlier checkpoint"
            log.error("%s could not be written (%s): %s", path.name, error.strerror or error, still)
            raise

    def _refuse_diverged(self, trainer: Trainer, model: LightningModule) -> None:
        """Never overwrite a good checkpoint with weights that are not finite."""
        capabilities.check_losses_finite(model)
        finite = [weight.isfinite().all() for weight in model.parameters()]
        if finite and not torch.stack(finite).all():
            raise TrainingError(divergence_message("weights are not finite", trainer.global_step))

    # In a checkpoint ---------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        stopped = {"reason": self.stopped, "callbacks": self.deciding} if self.stopped else None
        best = {"best": self.best, "best_epoch": self.best_epoch, "unselected": self.unselected}
        return {**best, "stopped": stopped}

    def load(self, trainer: Trainer, checkpoint: dict[str, Any]) -> None:
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        if "training_weights" in checkpoint and not any(isinstance(item, EMA) for item in callbacks):
            raise SettingError(
                "this run was started with an average of its weights: resume it with callbacks=ema or swa, as before"
            )
        restore_without_settings(checkpoint, callbacks)
        self.stopped = why_still_stopped(checkpoint, callbacks, self.deciding)
        if self.stopped:  # then nothing is left to train
            trainer.fit_loop.max_epochs = checkpoint["epoch"] + 1
        state = checkpoint["callbacks"][CHECKPOINTS]
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.unselected = state.get("unselected", 0)
        if self.select and self.unselected:
            log.warning(
                "epochs up to %d were trained with test_checkpoint=last, which saves no best weights: the best epoch"
                " is selected among the others",
                self.unselected,
            )
        self.resume_state.load(checkpoint, trainer)

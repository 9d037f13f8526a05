"""When the state of a run is saved, and that a signal stops it with its state saved."""

import logging
import math
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from labbook.callbacks.ema import EMA
from labbook.callbacks.epoch_recorder import Recorder
from labbook.callbacks.stopping import keep_settings, still_stopped, why_stopped
from labbook.data import random_state
from labbook.errors import SettingError, StoppedBySignal, TrainingError
from labbook.runs import run_folder
from labbook.signals import StopSignals
from labbook.training import capabilities, objectives
from labbook.training.epoch_rows import Row, metrics_in
from labbook.training.lightning_internals import begin_epoch_anew
from labbook.training.metrics import diverged

log = logging.getLogger("labbook")


# What a run with loaders of the user's own says, by whether they resume within an epoch.
RESUMES = {
    False: "own DataLoader without state_dict: a stopped run is resumed after its last whole epoch, not within one",
    True: "own DataLoader with state_dict: a stopped run is resumed within its epoch",
}

# Where Lightning's checkpoints say how far the validation has come.
VALIDATION = "epoch_loop.val_loop.batch_progress"


class Checkpoints(Checkpoint):
    """last.ckpt after every epoch, every `every_minutes` and on a signal; best.ckpt when the objective improves.

    The random state of torch is kept too, that of every process, so that a resumed run goes on as if it had never
    stopped.
    """

    def __init__(
        self,
        folder: Path,
        recorder: Recorder,
        signals: StopSignals,
        *,
        objective: str = "val/acc",
        falls: bool = False,
        select: bool = True,
        every_minutes: float = 10.0,
        deciding: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.recorder, self.select = folder, recorder, select
        self.objective, self.falls = objective, falls  # a metric, and whether a smaller one is better
        self.every_seconds, self.signals = 60 * every_minutes, signals
        self.best: float | None = None
        self.best_epoch: int | None = None  # counted from 1
        self.unselected = 0  # epochs up to this one were trained with test_on=last, which keeps no best weights
        self.deciding = dict(deciding or {})  # settings of the callbacks that may end the training
        self.stopped = ""  # why the training ended early
        self._random: dict[str, Any] = {}
        self._resumable = True  # within an epoch
        self._between_epochs = False  # the checkpoint to go on from was saved at the end of an epoch
        self._validating = False
        self._before_validation: dict[str, Tensor] = {}  # where the random numbers stood; its loaders may draw some
        self._saved_at = time.monotonic()

    @property
    def last_path(self) -> Path:
        """The state to go on from."""
        return self.folder / run_folder.LAST

    @property
    def best_path(self) -> Path:
        """The weights with the best objective."""
        return self.folder / run_folder.BEST

    def is_better(self, value: float) -> bool:
        """Whether the objective is as good as it ever was; of equal epochs the later one has learned more."""
        if not math.isfinite(value) or self.best is None:
            return math.isfinite(value)
        return value <= self.best if self.falls else value >= self.best

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the folder."""
        self.folder.mkdir(exist_ok=True)
        self._saved_at = time.monotonic()

    # When --------------------------------------------------------------------------------------------------------

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save in the middle of an epoch when it is time or a signal came.

        Not between the batches of an accumulated step, whose gradients are in no checkpoint; and not after the last
        batch of an epoch, as the first one of the validation, or the end of the epoch, comes next.
        """
        done = batch_idx + 1
        if done == trainer.num_training_batches:
            self._before_validation = random_state.taken(trainer.strategy.root_device)
        if not self._resumable:
            if any_rank(trainer, self.signals.received is not None):
                self._stop()
        elif done < trainer.num_training_batches and done % trainer.accumulate_grad_batches == 0:
            self._save_if_due(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Save in the middle of the validation, which a resumed run begins anew."""
        if not self._resumable:  # a validation is part of its epoch
            if any_rank(trainer, self.signals.received is not None):
                self._stop()
            return
        self._validating = True
        try:
            self._save_if_due(trainer, pl_module)
        finally:
            self._validating = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch, and its weights too where the objective improved."""
        self._mend_folder()
        row = self.recorder.rows[-1]
        self._check_objective(trainer, pl_module, row)
        for name in ("val/loss", self.objective):
            if not math.isfinite(row.get(name, 0.0)):
                named = "validation loss" if name == "val/loss" else name
                raise TrainingError(diverged(f"{named} became {row[name]}", trainer.global_step))
        self._refuse_diverged(trainer, pl_module)
        value = row.get(self.objective)
        if self.select and value is not None and self.is_better(value):
            self.best, self.best_epoch = value, trainer.current_epoch + 1
            self._write(trainer, self.best_path, weights_only=True)
        if not self.select:
            self.unselected = trainer.current_epoch + 1
        self.stopped = why_stopped(trainer)
        self._save_last(trainer, pl_module)
        if any_rank(trainer, self.signals.received is not None):
            self._stop()

    def _check_objective(self, trainer: Trainer, pl_module: LightningModule, row: Row) -> None:
        """Refuse an objective that is not logged, after the first epoch in which it should be."""
        complete = self.recorder.validated or not trainer.limit_val_batches
        if complete and self.objective not in row:
            setting, title = f"objective={self.objective}", capabilities.title(pl_module)
            raise SettingError(objectives.unlogged(setting, title, metrics_in(row)))

    def _save_if_due(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if it is time, and save and stop if a signal came to any process."""
        stop = self.signals.received is not None
        late = time.monotonic() - self._saved_at > self.every_seconds
        if any_rank(trainer, stop or late):
            self._save_last(trainer, pl_module)
            if any_rank(trainer, stop):
                self._stop()

    def _stop(self) -> None:
        """Stop this process, also where only another one was told to."""
        raise StoppedBySignal(self.signals.received or signal.SIGTERM)

    # What --------------------------------------------------------------------------------------------------------

    def _save_last(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._refuse_diverged(trainer, pl_module)
        self._mend_folder()
        self._write(trainer, self.last_path, weights_only=False)
        self._saved_at = time.monotonic()

    def _mend_folder(self) -> None:
        """Make the folder anew if somebody has deleted it; the best weights are gone with it."""
        if not self.folder.is_dir() and self.folder.parent.is_dir():
            again = ", and the best epoch is chosen anew" if self.best is not None else ""
            log.warning("%s was deleted during the training: it is made anew%s", self.folder, again)
            self.folder.mkdir(exist_ok=True)
            self.best, self.best_epoch = None, None

    def _write(self, trainer: Trainer, path: Path, weights_only: bool) -> None:
        """Write a checkpoint; where that fails, say what is still good."""
        try:
            trainer.save_checkpoint(path, weights_only=weights_only)
        except OSError as error:
            good = run_folder.saved_states(self.folder.parent)
            still = f"{good[0]}, as it was, is still good" if good else "nothing was saved before"
            log.error("no new %s could be written (%s): %s", path.name, error.strerror or error, still)
            raise

    def _refuse_diverged(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Never write over a good checkpoint with weights that are not finite."""
        capabilities.check_losses(pl_module)
        finite = [weight.isfinite().all() for weight in pl_module.parameters()]
        if finite and not torch.stack(finite).all():
            raise TrainingError(diverged("weights are not finite", trainer.global_step))

    def state_dict(self) -> dict[str, Any]:
        """The best so far, and why the training ended early."""
        stopped = {"reason": self.stopped, "callbacks": self.deciding} if self.stopped else None
        best = {"best": self.best, "best_epoch": self.best_epoch, "unselected": self.unselected}
        return {**best, "stopped": stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best of a checkpoint."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.unselected = state_dict.get("unselected", 0)
        if self.select and self.unselected:
            log.warning(
                "epochs up to %d were trained with test_on=last, which keeps no best weights: the best epoch is chosen"
                " among the others",
                self.unselected,
            )

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Where the random numbers of every process stand; in the middle of a validation, that it is yet to be done."""
        states = self._before_validation if self._validating else random_state.taken(trainer.strategy.root_device)
        checkpoint["random"] = {kind: every_rank(trainer, state) for kind, state in states.items()}
        if self._validating:
            # As if it had been cut off in its first batch: after that Lightning has it begin again.
            progress = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            checkpoint["loops"]["fit_loop"][VALIDATION] |= {"total": dict(progress), "current": dict(progress)}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the random states for later, and what ended the training early; say so if processes are more or fewer.

        Raises:
            SettingError: the weights to go on from are nobody's to take up.
        """
        averaging = any(isinstance(item, EMA) for item in trainer.callbacks)  # type: ignore[attr-defined]
        if "training_weights" in checkpoint and not averaging:
            raise SettingError("this run was begun with an average of its weights: go on with callbacks=ema")
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        keep_settings(checkpoint, callbacks)
        self.stopped = still_stopped(checkpoint, callbacks, self.deciding)
        if self.stopped:  # then nothing is left to train
            trainer.fit_loop.max_epochs = checkpoint["epoch"] + 1
        self._random = checkpoint["random"]
        self._between_epochs = checkpoint["epoch"] + 1 == len(checkpoint["callbacks"]["Recorder"]["rows"])
        were, are = len(self._random["cpu"]), trainer.world_size
        if were != are:
            log.warning(
                "this run was trained by %d processes and goes on with %d: with the same images in each step, but"
                " augmentation and dropout draw other random numbers, so the figures will differ",
                *(were, are),
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the random state of the checkpoint, after everything else that might draw."""
        rank = trainer.global_rank
        if self._random and rank < len(self._random["cpu"]):
            # Each a copy, as torch crashes with a part of a larger tensor.
            states = {kind: of_ranks[rank].clone() for kind, of_ranks in self._random.items()}
            random_state.put_back(states, trainer.strategy.root_device)
        loaders = capabilities.own_loaders(trainer.train_dataloader)
        self._resumable = capabilities.resumes_within_epoch(loaders)
        if loaders and trainer.is_global_zero:
            log.info("%s", RESUMES[self._resumable])
        if loaders and self._random and self._between_epochs:
            begin_epoch_anew(trainer)
        self._random = {}


def stopped_early(trainer: Trainer, epochs: int) -> str:
    """After which epoch a training ended early, and why; empty where it had all its epochs."""
    saved = next(item for item in trainer.callbacks if isinstance(item, Checkpoints))  # type: ignore[attr-defined]
    early = saved.stopped and trainer.current_epoch < epochs
    return f"after epoch {trainer.current_epoch} of {epochs}: {saved.stopped}" if early else ""


def any_rank(trainer: Trainer, mine: bool) -> bool:
    """Whether any process says yes, so that all do the same."""
    if trainer.world_size == 1:
        return mine
    decide: Callable[..., bool] = trainer.strategy.reduce_boolean_decision
    return decide(mine, all=False)


def every_rank(trainer: Trainer, mine: Tensor) -> list[Tensor]:
    """A tensor on the CPU of every process, by rank."""
    if trainer.world_size == 1:
        return [mine]
    mine = mine.to(trainer.strategy.root_device)
    gathered = [torch.empty_like(mine) for _ in range(trainer.world_size)]
    torch.distributed.all_gather(gathered, mine)
    return [each.cpu() for each in gathered]

"""What a run does around its epochs, and at the end of each one: record, diagnose, save, prune."""

from typing import TYPE_CHECKING, Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from labbook.callbacks.checkpoints import RunCheckpoints
from labbook.callbacks.diagnostics import TrainingDiagnostics
from labbook.callbacks.epoch_recorder import EpochRecorder
from labbook.training.checkpoint_io import CHECKPOINTS, RECORDER

if TYPE_CHECKING:
    from labbook.callbacks.pruning import OptunaPruning  # only a search has Optuna


class EpochEnd(Checkpoint):
    """The last callback of a run, which calls the parts that keep it.

    Lightning calls callbacks that derive from `Checkpoint` after all others and after the module has logged the epoch.
    """

    def __init__(
        self,
        recorder: EpochRecorder,
        checkpoints: RunCheckpoints,
        diagnostics: TrainingDiagnostics | None = None,
        pruning: "OptunaPruning | None" = None,
    ) -> None:
        self.recorder, self.checkpoints, self.diagnostics, self.pruning = recorder, checkpoints, diagnostics, pruning

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.recorder.record(trainer, pl_module)
        if self.diagnostics is not None:
            self.diagnostics.check(self.recorder.rows)
        self.checkpoints.save_epoch(trainer, pl_module, self.recorder.rows[-1], self.recorder.validated)
        if self.pruning is not None:
            self.pruning.report(trainer, self.recorder.rows)
        self.checkpoints.resume_state.end_epoch(trainer)

    # Before and within an epoch --------------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.recorder.metrics.follow(pl_module)
        self.checkpoints.make_folder()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.recorder.write_resumed(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.recorder.start_clock()
        if self.diagnostics is not None:
            self.diagnostics.start(self.recorder.rows)
        self.checkpoints.resume_state.restore(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.recorder.start_epoch(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch, if it is time or a signal came."""
        self.checkpoints.after_step(trainer, pl_module, batch_idx + 1)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.recorder.end_training_steps()

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.checkpoints.after_validation_step(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.recorder.write_at_last()

    # In a checkpoint -------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the states of the parts, under the names that they had as callbacks of their own."""
        checkpoint["callbacks"] |= {RECORDER: self.recorder.state(), CHECKPOINTS: self.checkpoints.state()}
        self.checkpoints.resume_state.add_to(checkpoint, trainer)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.recorder.load(checkpoint)
        self.checkpoints.load(trainer, checkpoint)


def epoch_end_of(trainer: Trainer) -> EpochEnd:
    return next(item for item in trainer.callbacks if isinstance(item, EpochEnd))  # type: ignore[attr-defined]

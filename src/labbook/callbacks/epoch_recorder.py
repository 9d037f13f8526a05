"""One row per epoch in metrics.csv, for the loggers and on the terminal."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers import Logger

from labbook.errors import SettingError
from labbook.files import write_whole
from labbook.training import capabilities
from labbook.training.checkpoint_io import RECORDER
from labbook.training.epoch_rows import OTHER_COLUMNS, EpochMetrics, Row, epoch_line, rows_as_csv, time_left
from labbook.training.optimizers import step_metric_schedules

log = logging.getLogger("labbook")

LOG_SOMETHING = "log a metric, such as self.log('train/loss', loss) in training_step"


class EpochRecorder:
    """Keeps a row of metrics for each epoch.

    The rows are in the checkpoint, so a resumed run has each epoch once. The loggers get the row here: Lightning would
    log it after the checkpoint, and a run killed in between would lose it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        self.metrics = EpochMetrics()
        self.seconds = 0.0  # of all epochs, with validation
        self._before = 0.0  # seconds of the unfinished epoch before the run was interrupted
        self._training: float | None = None  # seconds of this epoch's training steps, when they are done
        self._epoch_started: float | None = None
        self._lr: dict[str, float] = {}  # of the epoch's first step, by column
        self._resumed_at: int | None = None  # step
        self._unwritten = False
        self.validated = False  # when the last epoch was recorded

    @property
    def images_per_second(self) -> float:
        """Training images per second of training steps, over all epochs; 0 if images are not counted."""
        rows = [row for row in self.rows if "images" in row]
        seconds = sum(row["images"] / row["images_per_second"] for row in rows)
        return sum(row["images"] for row in rows) / seconds if seconds else 0.0

    def write_resumed(self, trainer: Trainer) -> None:
        """Cut what was written at the epoch at which the run resumes; the loggers were cut at its step."""
        if not trainer.is_global_zero:
            return
        if not self.rows:
            self.path.unlink(missing_ok=True)
            return
        self._write()
        if self.rows[-1]["step"] == self._resumed_at:
            log_row(trainer.loggers, self.metrics.for_loggers(self.rows[-1]))

    def start_clock(self) -> None:
        """Called at the start of the training and of each epoch: a resumed epoch does not call its start hook."""
        self._epoch_started, self._training = time.perf_counter(), None

    def start_epoch(self, trainer: Trainer) -> None:
        self._lr = learning_rates(trainer)
        self.start_clock()

    def end_training_steps(self) -> None:
        self._training = self._elapsed()

    def _elapsed(self) -> float:
        """Seconds since this epoch was started or resumed; 0 between epochs."""
        return time.perf_counter() - self._epoch_started if self._epoch_started is not None else 0.0

    def record(self, trainer: Trainer, model: LightningModule) -> None:
        elapsed = self._elapsed()
        training = elapsed if self._training is None else self._training
        self.validated = self._training is not None
        if not capabilities.is_classifier(model):  # it does so itself
            step_metric_schedules(trainer)
        logged = {name: value for name, value in trainer.callback_metrics.items() if name not in OTHER_COLUMNS}
        metrics = self.metrics.of(logged, self.validated)
        if not metrics:
            raise SettingError(
                f"{capabilities.model_title(model)} logged no metric in its first epoch: {LOG_SOMETHING}"
            )
        row: Row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            **metrics,
            **self._lr,
            "seconds": self._before + elapsed,
            **self._speed(trainer, self._before + training),
        }
        if trainer.world_size > 1:  # all processes must agree on the best epoch, whatever a module logs in each
            row = trainer.strategy.broadcast(row)
        self.rows.append(row)
        self.seconds += row["seconds"]
        self._before, self._training, self._epoch_started = 0.0, None, None
        if trainer.is_global_zero:
            self._write()
            log_row(trainer.loggers, self.metrics.for_loggers(row))
            done, epochs = len(self.rows), trainer.max_epochs or 0
            log.info("%s%s", epoch_line(row, epochs), time_left((epochs - done) * self.seconds / done))

    def write_at_last(self) -> None:
        """Write metrics.csv, if it could not be written before."""
        if self._unwritten:
            write_whole(self.path, rows_as_csv(self.rows))

    def _write(self) -> None:
        self._unwritten = True
        try:
            write_whole(self.path, rows_as_csv(self.rows))
            self._unwritten = False
        except PermissionError as error:  # on Windows, if a spreadsheet has the file open
            log.warning("%s could not be written (%s): the next epoch tries again", self.path, error.strerror)

    def _speed(self, trainer: Trainer, seconds: float) -> Row:
        """Training images per second, or steps if images cannot be counted."""
        images = capabilities.images_per_epoch(trainer.train_dataloader, trainer.num_training_batches)
        if images is not None:
            return {"images": images, "images_per_second": images / seconds}
        steps = trainer.global_step - (self.rows[-1]["step"] if self.rows else 0)
        return {"steps_per_second": steps / seconds}

    def state(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "unfinished": self._before + (self._elapsed() if self._training is None else self._training),
            "lr": self._lr,
            "unlogged": sorted(self.metrics.unlogged),
        }

    def load(self, checkpoint: Mapping[str, Any]) -> None:
        self._resumed_at, state = checkpoint["global_step"], checkpoint["callbacks"][RECORDER]
        self.rows, self.seconds = state["rows"], state["seconds"]
        self.metrics.unlogged |= set(state.get("unlogged", ()))
        self._before, lr = state["unfinished"], state["lr"]
        self._lr = {"lr": lr} if isinstance(lr, float) else lr  # one number in version 0.1


def learning_rates(trainer: Trainer) -> dict[str, float]:
    """The learning rate of each optimizer's first group, by column: lr, and of further optimizers lr/1, lr/2."""
    rates = [float(optimizer.param_groups[0]["lr"]) for optimizer in trainer.optimizers]
    return {f"lr/{number}" if number else "lr": rate for number, rate in enumerate(rates)}


def log_row(loggers: list[Logger], row: Row) -> None:
    figures = {name: value for name, value in row.items() if name not in ("step", "images")}
    for logger in loggers:
        logger.log_metrics(figures, int(row["step"]))
        logger.save()

"""One row an epoch: metrics.csv, the loggers, a line on the terminal, and the figures of the run as it stands."""

import csv
import io
import logging
import time
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import Logger

from labbook.data.loader import TensorLoader
from labbook.files import write_whole
from labbook.models.classifier import Classifier

log = logging.getLogger("labbook")

Row = dict[str, float]

PARTS = ("train", "val", "gradient")  # first words of the figures that make a row
WORTH_SAYING = 5.0  # seconds left of the training


class Recorder(Checkpoint):
    """Keeps a row of figures for every epoch.

    It derives from Lightning's `Checkpoint` because only those callbacks are called after the network has reported
    the epoch. The rows are part of the checkpoint, so a resumed run has each epoch once. The loggers are given the
    row here and not by Lightning, which would do so after the checkpoint: a run that is killed in between would never
    have logged that epoch.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        self.seconds = 0.0  # of all epochs, validation included
        self._before = 0.0  # seconds spent on the unfinished epoch before the run was interrupted
        self._training: float | None = None  # seconds of this epoch's training steps, once they are over
        self._epoch_started: float | None = None
        self._lr = 0.0  # of the epoch's first step
        self._resumed_at: int | None = None  # step
        self._began = 0  # epochs that were done before: perhaps elsewhere, at another pace
        self._unwritten = False

    @property
    def images_per_second(self) -> float:
        """Training images over the seconds of their training steps, all epochs together."""
        seconds = sum(row["images"] / row["images_per_second"] for row in self.rows)
        return sum(row["images"] for row in self.rows) / seconds if seconds else 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the loggers over."""
        assert isinstance(pl_module, Classifier)
        pl_module.logs = False

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note where the run goes on."""
        self._resumed_at = checkpoint["global_step"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Have what was written end where the run goes on; the step at which it does was taken out of the loggers."""
        if not trainer.is_global_zero:
            return
        if self.rows:
            self._write()
        else:
            self.path.unlink(missing_ok=True)
        if self.rows and self.rows[-1]["step"] == self._resumed_at:
            tell(trainer.loggers, self.rows[-1])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: an epoch that goes on in the middle does not tell its start."""
        self._epoch_started, self._training = time.perf_counter(), None
        self._began = len(self.rows)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        self._lr = float(trainer.optimizers[0].param_groups[0]["lr"])
        self._epoch_started, self._training = time.perf_counter(), None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The training part of the epoch is over."""
        self._training = self._elapsed()

    def _elapsed(self) -> float:
        """Seconds since this epoch was started or gone on with; none between epochs."""
        return time.perf_counter() - self._epoch_started if self._epoch_started is not None else 0.0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the row, write the table anew and say the epoch."""
        elapsed = self._elapsed()
        training = self._before + (self._training or elapsed)
        images = self._images(trainer)
        parts = PARTS if self._training is not None else ("train", "gradient")  # Lightning keeps old figures
        metrics = {
            name: value.item() for name, value in trainer.callback_metrics.items() if name.partition("/")[0] in parts
        }
        row: Row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            **{name: metrics[name] for name in sorted(metrics, key=place)},
            "lr": self._lr,
            "images": images,
            "seconds": self._before + elapsed,
            "images_per_second": images / training,
        }
        self.rows.append(row)
        self.seconds += row["seconds"]
        self._before, self._training, self._epoch_started = 0.0, None, None
        if trainer.is_global_zero:
            self._write()
            tell(trainer.loggers, row)
            epochs = trainer.max_epochs or 0
            log.info("%s%s", line(row, epochs), left(self.rows[self._began :], epochs - len(self.rows)))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table at last, if it could not be.

        Raises:
            PermissionError: it still cannot.
        """
        if self._unwritten:
            write_whole(self.path, table(self.rows))

    def _write(self) -> None:
        """Write the table anew."""
        self._unwritten = True
        try:
            write_whole(self.path, table(self.rows))
            self._unwritten = False
        except PermissionError as error:  # on Windows, of a file that a spreadsheet has open
            log.warning("%s could not be written (%s): it is tried again", self.path, error.strerror)

    def _images(self, trainer: Trainer) -> int:
        loader = trainer.train_dataloader
        assert isinstance(loader, TensorLoader)
        return loader.images_in(0, int(trainer.num_training_batches))

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, and the seconds that an unfinished epoch has taken."""
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "unfinished": self._before + self._elapsed(),
            "lr": self._lr,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of a checkpoint."""
        self.rows, self.seconds = state_dict["rows"], state_dict["seconds"]
        self._before, self._lr = state_dict["unfinished"], state_dict["lr"]


def place(name: str) -> tuple[int, str]:
    """Where a figure stands in the row; the layers of a network stay in its order."""
    part = name.partition("/")[0]
    return PARTS.index(part), "" if part == "gradient" else name


def table(rows: list[Row]) -> str:
    """The rows as CSV; a column that only some rows have stays empty in the others."""
    columns = list(dict.fromkeys(name for row in rows for name in row if name != "images"))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def tell(loggers: list[Logger], row: Row) -> None:
    """Give a row to the loggers, and have them write it."""
    figures = {name: value for name, value in row.items() if name not in ("step", "images")}
    for logger in loggers:
        logger.log_metrics(figures, int(row["step"]))
        logger.save()


def line(row: Row, epochs: int) -> str:
    """An epoch in words."""
    figures = [f"{part} loss {row[f'{part}/loss']:.4f} acc {row[f'{part}/acc']:.4f}" for part in parts_of(row)]
    number = f"{int(row['epoch']):>{len(str(epochs))}}/{epochs}"
    pace = f"{row['seconds']:.1f} s  {row['images_per_second']:,.0f} images/s"
    return "  ".join([f"epoch {number}", *figures, pace])


def left(rows: list[Row], epochs: int) -> str:
    """How long the rest takes, by the mean of the epochs done; nothing where that is soon over."""
    seconds = epochs * sum(row["seconds"] for row in rows) / len(rows)
    return f"  {duration(seconds)} left" if seconds >= WORTH_SAYING else ""


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 5 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def parts_of(row: Row) -> list[str]:
    """The parts of the data that a row has figures of."""
    return [part for part in ("train", "val") if f"{part}/loss" in row]

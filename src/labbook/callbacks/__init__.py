"""What accompanies a training: a progress bar and pictures."""

import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from labbook.callbacks.epoch_recorder import Recorder
from labbook.config.schema import lower_is_better
from labbook.errors import SettingError, choices
from labbook.files import write_whole
from labbook.loggers import write_picture
from labbook.models.probe import spared
from labbook.plots import fonts, plots
from labbook.plots.contact_sheet import Line, sheet
from labbook.training import capabilities
from labbook.training.label_tasks import Outcome

REFRESH = 0.2  # seconds between two drawings of the bar


class Progress(Callback):
    """A bar for the steps of the epoch, drawn anew by time and not by step; by default only on a terminal."""

    def __init__(self, bar: bool | None = None) -> None:
        self.wanted = sys.stdout.isatty() if bar is None else bar
        self._bar: Bar | None = None
        self._task = TaskID(0)
        self._drawn = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's bar."""
        if not (self.wanted and trainer.is_global_zero):
            return
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, auto_refresh=False, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("")
        self._bar.reset(
            self._task,
            total=int(trainer.num_training_batches) if math.isfinite(trainer.num_training_batches) else None,
            description=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}",
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw, if the last time is long enough ago."""
        if self._bar is not None and time.monotonic() - self._drawn > REFRESH:
            self._drawn = time.monotonic()
            self._bar.update(self._task, completed=batch_idx + 1, refresh=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the bar away."""
        self._close()


class Pictures(Callback):
    """Samples as the network sees them, learning curves, confusion matrix and the surest mistakes.

    All go to the loggers; curves and confusion matrix also to figures/ in the run folder.
    """

    def __init__(self, samples: NonNegativeInt = 32, mistakes: NonNegativeInt = 25) -> None:
        self.samples, self.mistakes = samples, mistakes

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The first training images, augmented, with their classes; once in a run."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not (self.samples and trainer.loggers and trainer.is_global_zero) or trainer.ckpt_path is not None:
            return
        if not capabilities.is_image_data(data):
            return
        batch = next(iter(data.train_dataloader()), None)
        if batch is not None:
            device = trainer.strategy.root_device
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, device, 0), 0)
            spec = replace(data.spec, class_names=tuple(fonts.drawable(data.spec.class_names)))
            captions = [[Line(spec.name_of(label))] for label in batch.labels[: self.samples]]
            title = "training images as the network sees them"
            picture = sheet(plots.tiles(batch.images[: self.samples], data.spec), captions, title)
            write_picture(trainer.loggers, "training_images", picture, trainer.global_step)
            for logger in trainer.loggers:
                logger.save()  # a run that is gone on with does not draw it again

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Everything that needs the test's predictions."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero or capabilities.tested_part(data) != "test":
            return
        outcome, spec = capabilities.outcome_of(pl_module), capabilities.image_spec(pl_module)
        recorder = next(item for item in trainer.callbacks if isinstance(item, Recorder))  # type: ignore[attr-defined]
        folder = Path(trainer.default_root_dir) / "figures"
        folder.mkdir(exist_ok=True)
        held_out = "test" if capabilities.validates_on_test(data) else "validation"
        pictures = {"training_curves": plots.curves(recorder.rows, held_out)}
        if isinstance(outcome, Outcome) and spec is not None:
            title = f"test images by class: accuracy {outcome.figures.acc:.2%}"
            pictures["test_confusion_matrix"] = plots.confusion_matrix(outcome.confusion, spec.class_names, title)
        for name, picture in pictures.items():
            plots.save(picture, folder / f"{name.partition('_')[2]}.png")
            write_picture(trainer.loggers, name, picture, trainer.global_step)
        if capabilities.maps_images(pl_module):
            draw_network(pl_module, folder / "network.svg")
        if not isinstance(outcome, Outcome) or not capabilities.is_image_data(data):
            return
        title = "test images taken for another class (true → predicted, its probability)"
        wrong = plots.mistakes(outcome, data.parts["test"], data.spec.class_names, title, self.mistakes)
        if wrong is not None:
            write_picture(trainer.loggers, "test_mistakes", wrong, trainer.global_step)


def draw_network(model: LightningModule, file: Path) -> None:
    """Draw the network, where Graphviz is there; why it was not drawn is told in train.log."""
    picture = b""
    with spared("drawing of the network"):
        from labbook.models.drawing import draw  # which not every run needs

        picture = draw(model, file.suffix.removeprefix("."))
    if picture:
        write_whole(file, picture)


class EarlyStopping(LightningEarlyStopping):
    """Lightning's, with the direction that the metric's name tells: a loss is to fall, an accuracy to rise."""

    def __init__(
        self, monitor: str = "val/acc", patience: NonNegativeInt = 5, min_delta: NonNegativeFloat = 0.0
    ) -> None:
        self.settings: dict[str, Any] = {"monitor": monitor, "min_delta": min_delta, "patience": patience}
        super().__init__(**self.settings, mode="min" if lower_is_better(monitor) else "max")

    def take_direction(self, objective: str, falls: bool) -> None:
        """Whether a smaller value is better, where the metric is the run's objective."""
        if self.monitor == objective:
            super().__init__(**self.settings, mode="min" if falls else "max")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the metric with the best so far.

        Raises:
            SettingError: it is not logged.
        """
        if self.monitor not in trainer.callback_metrics:
            raise SettingError(
                f"callbacks.early_stopping.monitor={self.monitor} is no metric of a validation;"
                f" {choices(self.monitor, trainer.callback_metrics, 'logged are')}"
            )
        super().on_validation_end(trainer, pl_module)

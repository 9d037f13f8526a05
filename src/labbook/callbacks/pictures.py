"""Plots of a run: input images, curves, confusion matrix, mistakes and the network."""

from dataclasses import replace
from pathlib import Path

from pydantic import NonNegativeInt
from pytorch_lightning import Callback, LightningModule, Trainer

from labbook.callbacks.epoch_end import epoch_end_of
from labbook.files import write_whole
from labbook.loggers import write_picture
from labbook.plots import fonts, plots
from labbook.plots.contact_sheet import CaptionLine, contact_sheet
from labbook.training import capabilities
from labbook.training.label_tasks import EvaluationResult
from labbook.training.probe import log_exceptions


class Pictures(Callback):
    """Input images, learning curves, confusion matrix and the most confident mistakes.

    All go to the loggers; curves and confusion matrix also to figures/ in the run folder.
    """

    def __init__(self, samples: NonNegativeInt = 32, mistakes: NonNegativeInt = 25) -> None:
        self.samples, self.mistakes = samples, mistakes

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        begins = trainer.is_global_zero and trainer.ckpt_path is None
        if not (self.samples and trainer.loggers and begins and capabilities.is_image_data(data)):
            return
        if (batch := next(iter(data.train_dataloader()), None)) is not None:
            device = trainer.strategy.root_device
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, device, 0), 0)
            spec = replace(data.spec, class_names=tuple(fonts.drawable_names(data.spec.class_names)))
            captions = [[CaptionLine(spec.name_of(label))] for label in batch.labels[: self.samples]]
            title = "training images after preprocessing"
            picture = contact_sheet(plots.image_tiles(batch.images[: self.samples], data.spec), captions, title)
            write_picture(trainer.loggers, "training_images", picture, trainer.global_step)
            for logger in trainer.loggers:
                logger.save()  # a resumed run does not draw it again

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero or capabilities.tested_part(data) != "test":
            return
        outcome, spec = capabilities.evaluation_result_of(pl_module), capabilities.image_spec(pl_module)
        folder = Path(trainer.default_root_dir) / "figures"
        folder.mkdir(exist_ok=True)
        held_out = "test" if capabilities.validates_on_test(data) else "validation"
        pictures = {"training_curves": plots.plot_curves(epoch_end_of(trainer).recorder.rows, held_out)}
        if isinstance(outcome, EvaluationResult) and spec is not None:
            title = f"test images by class: accuracy {outcome.figures.acc:.2%}"
            pictures["test_confusion_matrix"] = plots.confusion_matrix(outcome.confusion, spec.class_names, title)
        for name, picture in pictures.items():
            plots.save_png(picture, folder / f"{name.partition('_')[2]}.png")
            write_picture(trainer.loggers, name, picture, trainer.global_step)
        if capabilities.maps_images(pl_module):
            draw_network(pl_module, folder / "network.svg")
        if isinstance(outcome, EvaluationResult) and capabilities.is_image_data(data):
            title = "wrong test images (true → predicted, its probability)"
            wrong = plots.plot_mistakes(outcome, data.parts["test"], data.spec.class_names, title, self.mistakes)
            if wrong is not None:
                write_picture(trainer.loggers, "test_mistakes", wrong, trainer.global_step)


def draw_network(model: LightningModule, file: Path) -> None:
    """Draw the network if Graphviz is installed; otherwise train.log has the reason."""
    picture = b""
    with log_exceptions("drawing of the network"):
        from labbook.models.drawing import draw_model  # not every run needs it

        picture = draw_model(model, file.suffix.removeprefix("."))
    if picture:
        write_whole(file, picture)

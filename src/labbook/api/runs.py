"""A kept run as an object. Does not import torch."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from labbook import lazy_imports
from labbook.api.calls import called_from_python, override_arguments
from labbook.console import print_notes
from labbook.errors import SettingError, abbreviate, list_choices
from labbook.inference.evaluate.other_dataset import evaluation_request
from labbook.inference.predict.request import find_images, with_prediction_settings
from labbook.reports.read_runs import read_metric_table
from labbook.runs.resume import read_run_config
from labbook.runs.run_folder import TABLE, read_metrics, state_of, unfinished_notes
from labbook.sweeps.best_experiment import run_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from omegaconf import DictConfig

    from labbook.data.datamodule import Split
    from labbook.inference.predict.classify import Prediction
    from labbook.inference.trained_model import TrainedModel, Weights

TEMPORARY = "labbook-pixels-"  # begins the name of a folder of files of pixels
BATCH = 64  # images of a prediction at once
SPLITS, WEIGHTS = ("test", "val", "train"), ("best", "last")
OF_REPORT = ("loss", "acc", "precision", "recall", "f1", "calibration_error")
SHOWN = ("val/acc", "val/loss", "test/acc", "test/loss")  # metrics in the text of a run


@dataclass(frozen=True)
class Run:
    """A run folder. Each property reads the files as they are now.

    Args:
        folder: the run folder.

    Raises:
        SettingError: the folder is not a run folder.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", folder_path(self.folder).absolute())
        read_run_config(self.folder)

    @property
    def status(self) -> str:
        """`finished`, `running`, `interrupted`, `failed`, or `pruned`."""
        return state_of(self.folder)[0]

    @property
    def config(self) -> "DictConfig":
        """All settings of the run."""
        return read_run_config(self.folder)

    @property
    def metrics(self) -> dict[str, float]:
        """The final metrics by name, such as `test/acc`; empty before the end of the training."""
        return {name: value for name, value in read_metrics(self.folder).items() if isinstance(value, float)}

    @property
    def history(self) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """The metrics of each epoch by name, float64 [epochs], nan for a missing value.

        `pandas.DataFrame(run.history)` is a table of them.
        """
        return read_metric_table(self.folder / TABLE)

    def curves(self) -> "Figure":
        """Learning curves: loss and accuracy of each epoch. A notebook shows the figure.

        Raises:
            SettingError: the run has not finished an epoch.
        """
        columns = self.history
        if not columns.get("epoch", np.empty(0)).size:
            raise SettingError(f"{self.folder} has no curves: it has not finished an epoch")
        with lazy_imports.import_torch_stack():
            from labbook.plots.plots import metric_curves

        rows = [
            {name: float(value) for name, value in zip(columns, row, strict=True) if not np.isnan(value)}
            for row in zip(*columns.values(), strict=True)
        ]
        return metric_curves(rows, "test" if self.config.data.get("validation") == "test" else "validation")

    def predict(
        self, images: Any, *overrides: str, top: int = 1, weights: "Weights | None" = None, **settings: Any
    ) -> "list[Prediction]":
        """Classify images.

        Args:
            images: a file, a folder, a pattern such as "photos/*.jpg", a Pillow image, pixels, or several of these.
                Pixels are an array uint8 [H, W] or [H, W, C], or a tensor uint8 [C, H, W]; resized as a file would be.
            *overrides: settings of the run to change, such as "trainer=cpu".
            top: the number of classes of each image.
            weights: "best" or "last" epoch; None: those that the run tested.
            **settings: settings to change, as values of Python.

        Returns:
            For each image in order its name (`image`) and its `guesses`, the most probable first, each with `name` and
            `probability`. Images with several classes also have `classes`.

        Raises:
            SettingError: an image cannot be read, or the network is no image classifier.
        """
        if top < 1:
            raise SettingError(f"top must be at least 1, not {top}")
        with called_from_python(), image_files(images) as given:
            files = find_images(list(map(str, given))).images
            network = self.network(*overrides, weights=weights, **settings)
            from labbook.inference.predict.classify import Predictor

            batches = list(Predictor(network, top, BATCH).files(files))
        if problems := [problem for batch in batches for problem in batch.problems]:
            raise SettingError("; ".join(problems))
        found = [prediction for batch in batches for prediction in batch.predictions]
        return [prediction._replace(image=shown_name(prediction.image)) for prediction in found]

    def network(self, *overrides: str, weights: "Weights | None" = None, **settings: Any) -> "TrainedModel":
        """The trained network on its device: `.model` is the module, `.probabilities(pixels)` uses it.

        Args:
            *overrides: settings of the run to change, such as "trainer=cpu".
            weights: "best" or "last" epoch; None: those that the run tested.
            **settings: settings to change, as values of Python.

        Raises:
            SettingError: the network is no image classifier, or the run has no checkpoint.
        """
        with called_from_python():
            config, _ = with_prediction_settings(self.config, override_arguments(overrides, settings))
            check_choice("weights", weights, WEIGHTS)
            with lazy_imports.import_torch_stack():
                from labbook.inference.trained_model import load_trained

            print_notes(unfinished_notes(self.folder))
            return load_trained(self.folder, config, weights, "predict")

    def evaluate(
        self, *overrides: str, split: "Split" = "test", weights: "Weights | None" = None, **settings: Any
    ) -> dict[str, float]:
        """Test the network again, also on other images: `run.evaluate("data=mnist")`. Writes no files.

        Args:
            *overrides: settings to change; `data=NAME` is another data set.
            split: "test", "val" or "train".
            weights: "best" or "last" epoch; None: those that the run tested.
            **settings: settings to change, as values of Python.

        Returns:
            The metrics by name: `loss`, `acc`, `precision`, `recall`, `f1`, `calibration_error`, and those of the group
            `metrics`. Of a module that is no image classifier: what it logs.

        Raises:
            SettingError: a setting cannot work, or the images do not fit the network.
        """
        with called_from_python():
            check_choice("split", split, SPLITS)
            check_choice("weights", weights, WEIGHTS)
            asked = evaluation_request(self.config, override_arguments(overrides, settings))
            with lazy_imports.import_torch_stack():
                from labbook.inference import run_config
                from labbook.inference.evaluate import class_metrics, evaluate_run

            config = run_config.complete_run_config(self.folder, asked.config)
            if not run_config.is_classification_run(config):
                module = evaluate_run.evaluate_module(self.folder, config, split, weights, asked.data)
                print_notes([*unfinished_notes(self.folder), *module.notes])
                return module.metrics
            own = not asked.name
            found = evaluate_run.evaluate_run(self.folder, config, split, weights, asked.data, own)
            print_notes([*unfinished_notes(self.folder), *found.notes(split, own)])
            report = class_metrics.evaluation_report(found.outcome, found.names)
            return {name: getattr(report, name) for name in OF_REPORT} | report.metrics

    def __repr__(self) -> str:
        said = "".join(f", {name} {self.metrics[name]:.4f}" for name in SHOWN if name in self.metrics)
        return f"<Run {self.folder.name}: {self.status}{said}>"


def load(folder: str | Path) -> Run:
    """The run of a folder; for the folder of a sweep, its best run, which is printed.

    Raises:
        SettingError: the folder is not one of a run or a sweep.
    """
    return Run(run_of(folder_path(folder)))


def folder_path(folder: Any) -> Path:
    """A folder as a path; other objects are refused."""
    if not isinstance(folder, (str, os.PathLike)):
        raise SettingError(f"{abbreviate(repr(folder))} is not a folder: use the path of one, such as run.folder")
    return Path(folder).expanduser()


def check_choice(name: str, value: str | None, valid: Sequence[str]) -> None:
    if value is not None and value not in valid:
        raise SettingError(f"{name}={value} is unknown; {list_choices(value, valid)}")


@contextmanager
def image_files(images: Any) -> Iterator[list[Path]]:
    """Files of the images, within this context: pixels become files in a folder of their own, `image N` by name."""
    several = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
        files = []
        for number, image in enumerate(images if several else [images]):
            if isinstance(image, (str, Path)):
                files.append(Path(image))
                continue
            files.append(Path(folder) / f"image {number}.png")
            as_picture(image).save(files[-1])
        if not files:
            raise SettingError("nothing to predict: give at least one image")
        yield files


def shown_name(file: str) -> str:
    """The name of a file, or `image N` for the pixels with this number."""
    return Path(file).stem if Path(file).parent.name.startswith(TEMPORARY) else file


def as_picture(image: Any) -> Image.Image:
    """A Pillow image, or one of pixels: an array uint8 [H, W] or [H, W, C], or a tensor uint8 [C, H, W]."""
    if isinstance(image, Image.Image):
        return image
    pixels = np.asarray(image.detach().cpu().movedim(-3, -1) if hasattr(image, "detach") else image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise SettingError(
            f"an image {pixels.dtype} {list(pixels.shape)} cannot be read: use uint8 [H, W] or [H, W, C] with 0 to 255"
        )
    return Image.fromarray(pixels)

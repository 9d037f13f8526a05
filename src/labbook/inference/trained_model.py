"""The trained network of a run, ready for predictions; its data can be missing."""

from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from omegaconf import DictConfig
from pydantic import TypeAdapter, ValidationError
from pytorch_lightning import LightningModule
from torch import Tensor

from labbook import experiment
from labbook.data.data_record import DataRecord, changed_classes
from labbook.data.datamodule import ImageDataModule, Images, Part
from labbook.data.decoding import Decoding
from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.inference.calibration import temperature_of
from labbook.inference.run_config import check_classification, complete_run_config, types_of_run
from labbook.runs.run_folder import BEST, CHECKPOINTS, LAST, read_metrics
from labbook.trainer import configure_backends
from labbook.training import capabilities, checkpoint_io, hardware
from labbook.training.capabilities import has_convolutions
from labbook.training.classifier import Classifier
from labbook.training.hardware import DeviceChoice
from labbook.training.label_tasks import MultiLabel
from labbook.training.tta import Tta, tta_logits

Weights = Literal["best", "last"]

SPEC = TypeAdapter(ImageSpec)
NEEDING = "a prediction"
AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class TrainedModel:
    """A network on its device, in evaluation mode."""

    path: Path  # the run's folder
    config: DictConfig
    model: Classifier
    choice: DeviceChoice  # device and precision
    epoch: int  # of the weights
    temperature: float = 1.0  # that logits are divided by

    @property
    def spec(self) -> ImageSpec:
        return self.model.spec

    @property
    def tta(self) -> Tta:
        tta: Tta = self.config.task.tta
        return tta

    @property
    def device(self) -> torch.device:
        return self.model.device

    def normalized(self, pixels: Tensor) -> Tensor:
        """Pixels 0..255, uint8 [n, C, H, W], as the network gets them: on its device, in its memory layout."""
        channels_last = self.choice.channels_last and has_convolutions(self.model)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return self.spec.normalize(pixels.to(self.device)).contiguous(memory_format=layout)

    @torch.inference_mode()
    def logits(self, pixels: Tensor) -> Tensor:
        """Pixels 0..255, uint8 [n, C, H, W] of the spec's size and channels, to float32 logits [n, classes]."""
        images = self.normalized(pixels)
        dtype = AUTOCAST.get(self.choice.precision)
        with torch.autocast(self.device.type, dtype) if dtype else nullcontext():
            return self.scores(images).float() / self.temperature

    def scores(self, images: Tensor) -> Tensor:
        """Normalized images [n, C, H, W] to logits [n, classes] in the same precision, with gradients."""
        return tta_logits(self.model, images, self.tta)

    def probabilities(self, pixels: Tensor) -> Tensor:
        """Pixels as for `logits` to probabilities, float32 [n, classes]; SettingError if one is NaN."""
        found = self.spec.probabilities(self.logits(pixels))
        if not found.isfinite().all():
            raise SettingError(
                f"the network returns {found[~found.isfinite()][0].item()} instead of probabilities: use"
                " trainer.precision=32, or train it again"
            )
        return found

    def several_classes(self, probabilities: Tensor) -> list[tuple[str, ...]] | None:
        """The classes of each image with a probability above their threshold; None if an image has one class."""
        task = self.model.label_task
        if not isinstance(task, MultiLabel):
            return None
        return [tuple(compress(self.spec.class_names, row)) for row in (probabilities.cpu() > task.thresholds).tolist()]

    def data(self) -> ImageDataModule:
        """The run's data, of which only the test images will be read; checked against the network."""
        data = capabilities.require_image_data(experiment.build_data(self.config, only="test"), NEEDING)
        seen, known = data.spec, self.spec
        if (seen.size, seen.channels) != (known.size, known.channels):
            raise SettingError("the test images are not of the size and channels that the network was trained for")
        if changed := changed_classes(known.class_names, seen.class_names):
            raise SettingError(f"the test images are not of the classes that the network was trained for: {changed}")
        return data

    def test_images(self) -> Images:
        """The test images, if they are those that the run was tested on."""
        record = DataRecord.read(read_metrics(self.path), self.spec.class_names)
        data = read_data_part(self.config, "test", record)
        if changes := record.changes(DataRecord.of(data), ["test"]):
            raise SettingError(
                f"the data is not what the run was tested on: {'; '.join(changes)}, so the number of an image may be"
                " that of another one: give the files of the images, or put the test images back"
            )
        return data.parts["test"]


def read_data_part(config: DictConfig, part: Part, record: DataRecord | None = None) -> ImageDataModule:
    """The data with one part; the other part can be missing.

    If the part differs from the `record`, both are read: an image in two classes is left out, which one part alone
    does not show.
    """
    data = capabilities.require_image_data(experiment.build_data(config, only=part), NEEDING)
    data.setup()
    if record is not None and data.only is not None and record.changes(DataRecord.of(data)):
        with suppress(SettingError):  # which would be of the other part
            whole = capabilities.require_image_data(experiment.build_data(config), NEEDING)
            whole.setup()
            return data if record.changes(DataRecord.of(whole), [part]) else whole
    return data


def data_type(config: DictConfig) -> type[ImageDataModule]:
    return capabilities.require_image_data_type(types_of_run(config)[1], NEEDING)


def decoding_of_run(config: DictConfig, spec: ImageSpec) -> Decoding:
    return data_type(config).decoding_of(config.data, spec)


class LoadedCheckpoint(NamedTuple):
    """A checkpoint of a run."""

    config: DictConfig  # with all settings of this version
    file: Path
    content: dict[str, Any]

    @property
    def spec(self) -> ImageSpec:
        """The images that the network was trained on; a checkpoint of an older version has only the run's data."""
        if "spec" in self.content:
            return spec_of_checkpoint(self.content["spec"], self.file)
        return capabilities.require_image_data(experiment.build_data(self.config), NEEDING).spec

    def model(self, spec: Any) -> tuple[LightningModule, int]:
        """The model with its weights, for data of this spec, and the epoch of the weights."""
        model = experiment.build_model(self.config, spec)
        return model, checkpoint_io.put_weights(model, self.content, self.file)

    def network(self, spec: ImageSpec) -> tuple[Classifier, int]:
        model, epoch = self.model(spec)
        return capabilities.require_classifier(model, NEEDING), epoch


def open_checkpoint(
    path: Path, config: DictConfig, weights: Weights | None = None, purpose: str = ""
) -> LoadedCheckpoint:
    """The checkpoint of a run; see `load_trained`. With a `purpose`, the run must be a classification."""
    config = complete_run_config(path, config)
    if purpose:
        check_classification(config, purpose)
    file = checkpoint_file(path, config, weights)
    try:
        content = checkpoint_io.load_checkpoint_file(file)
    except SettingError as error:
        if weights is None and file.name == BEST and file.with_name(LAST).is_file():
            raise SettingError(f"{error}; --weights last uses those of the last epoch") from error
        raise
    return LoadedCheckpoint(config, file, content)


def load_trained(path: Path, config: DictConfig, weights: Weights | None, purpose: str) -> TrainedModel:
    """The network of a run folder; `weights` None: those that the run tested.

    `config` is the run's, perhaps with other settings of the trainer. A `purpose`, such as "predict", needs a run with
    an image data set; "" accepts any data.
    """
    there = open_checkpoint(path, config, weights, purpose)
    model, epoch = there.network(there.spec)
    model.further_inputs.check_none()
    use_thresholds(model, path)
    temperature = temperature_of(path, epoch)
    if isinstance(model.label_task, MultiLabel):
        model.label_task.scale_thresholds(temperature)
    choice = hardware.choose_for_run(there.config, model)
    configure_backends(there.config, choice)
    channels_last = choice.channels_last and has_convolutions(model)
    layout = torch.channels_last if channels_last else torch.preserve_format
    device = torch.device({"gpu": "cuda"}.get(choice.accelerator, choice.accelerator))
    model.to(device=device, memory_format=layout)
    return TrainedModel(path, there.config, model.eval(), choice, epoch, temperature)


def use_thresholds(model: LightningModule, path: Path) -> None:
    """Set the thresholds that the run chose, if images have several classes."""
    if capabilities.is_classifier(model) and isinstance(model.label_task, MultiLabel):
        model.label_task.use_thresholds(read_metrics(path), model.spec.class_names)


def checkpoint_file(path: Path, config: DictConfig, weights: Weights | None = None) -> Path:
    folder = path / CHECKPOINTS
    best = weights == "best" or (weights is None and config.test_checkpoint == "best" and (folder / BEST).exists())
    return folder / (BEST if best else LAST)


def spec_of_checkpoint(content: Any, file: Path) -> ImageSpec:
    try:
        return SPEC.validate_python(content, strict=False)
    except ValidationError as error:
        raise SettingError(
            f"{file} is not a checkpoint of a run: its description of the images is not that of a run"
        ) from error

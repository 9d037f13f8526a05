"""The network of a run that has been trained, ready to judge images; the data it was trained on need not be there."""

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
from labbook.inference.run_config import check_classification, complete_run_config, types_of_run
from labbook.runs.run_folder import BEST, CHECKPOINTS, LAST, read_metrics
from labbook.trainer import configure_backends
from labbook.training import capabilities, checkpoint_io, hardware
from labbook.training.classifier import Classifier
from labbook.training.convolutions import has_convolutions
from labbook.training.hardware import DeviceChoice
from labbook.training.label_tasks import MultiLabel
from labbook.training.tta import tta_logits

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
    epoch: int  # after so many epochs

    @property
    def spec(self) -> ImageSpec:
        """What the network knows of its images: size, channels, classes, normalisation."""
        return self.model.spec

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.model.device

    @torch.inference_mode()
    def logits(self, pixels: Tensor) -> Tensor:
        """Pixels 0..255, uint8 [n, C, H, W] of the spec's size and channels, to float32 logits [n, classes]."""
        images = self.spec.normalize(pixels.to(self.device))
        if self.choice.channels_last and has_convolutions(self.model):
            images = images.contiguous(memory_format=torch.channels_last)
        dtype = AUTOCAST.get(self.choice.precision)
        with torch.autocast(self.device.type, dtype) if dtype else nullcontext():
            return self.scores(images).float()

    def scores(self, images: Tensor) -> Tensor:
        """Normalised images [n, C, H, W] to logits [n, classes], in their precision; gradients go through."""
        return tta_logits(self.model, images, self.config.task.tta)

    def probabilities(self, pixels: Tensor) -> Tensor:
        """Pixels as for `logits` to the probability of each class, float32 [n, classes].

        Raises:
            SettingError: they are not numbers, as where the precision is too low for this network.
        """
        found = self.spec.probabilities(self.logits(pixels))
        if not found.isfinite().all():
            raise SettingError(
                f"the network returns {found[~found.isfinite()][0].item()} instead of probabilities: use"
                " trainer.precision=32, or train it again"
            )
        return found

    def several_classes(self, probabilities: Tensor) -> list[tuple[str, ...]] | None:
        """The classes of each image whose probability, [n, classes], is above their threshold.

        None where an image has one class.
        """
        task = self.model.label_task
        if not isinstance(task, MultiLabel):
            return None
        return [tuple(compress(self.spec.class_names, row)) for row in (probabilities.cpu() > task.thresholds).tolist()]

    def data(self) -> ImageDataModule:
        """The run's data as it is today, of which only the test images are to be read; nothing is read yet.

        Raises:
            SettingError: it is not there, or its images are not of the size, channels and classes of this network.
        """
        data = capabilities.require_image_data(experiment.build_data(self.config, only="test"), NEEDING)
        seen, known = data.spec, self.spec
        if (seen.size, seen.channels) != (known.size, known.channels):
            raise SettingError("the test images are not of the size and channels that the network was trained for")
        if changed := changed_classes(known.class_names, seen.class_names):
            raise SettingError(f"the test images are not of the classes that the network was trained for: {changed}")
        return data

    def test_images(self) -> Images:
        """The test images of the run.

        Raises:
            SettingError: they are not there, or not those that the run was tested on.
        """
        record = DataRecord.read(read_metrics(self.path), self.spec.class_names)
        data = read_data_part(self.config, "test", record)
        if changes := record.changes(DataRecord.of(data), ["test"]):
            raise SettingError(
                f"the data is not what the run was tested on: {'; '.join(changes)}, so the number of an image may be"
                " that of another one: give the files of the images, or put the test images back"
            )
        return data.parts["test"]


def read_data_part(config: DictConfig, part: Part, record: DataRecord | None = None) -> ImageDataModule:
    """The data with one part, where the other one need not be there.

    Where the part is not as a `record` has it, both are read: of an image that is in two classes, and so left out of
    both parts, one part alone does not know.

    Raises:
        SettingError: the part is not there, or cannot be trusted.
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
    """What a run's data is made of."""
    return capabilities.require_image_data_type(types_of_run(config)[1], NEEDING)


def decoding_of_run(config: DictConfig, spec: ImageSpec) -> Decoding:
    return data_type(config).decoding_of(config.data, spec)


class LoadedCheckpoint(NamedTuple):
    """A run's checkpoint, read."""

    config: DictConfig  # with all settings that there are today
    file: Path
    content: dict[str, Any]

    @property
    def spec(self) -> ImageSpec:
        """The images that the classifier in it was trained on."""
        return spec_of_training(self.content, self.file, self.config)

    def model(self, spec: Any) -> tuple[LightningModule, int]:
        """The model with its weights, for data of this spec, and after how many epochs it has them.

        Raises:
            SettingError: a model that the data does not fit, or the checkpoint of another one.
        """
        model = experiment.build_model(self.config, spec)
        return model, checkpoint_io.put_weights(model, self.content, self.file)

    def network(self, spec: ImageSpec) -> tuple[Classifier, int]:
        """The same of a classifier."""
        model, epoch = self.model(spec)
        return capabilities.require_classifier(model, NEEDING), epoch


def open_checkpoint(
    path: Path, config: DictConfig, weights: Weights | None = None, purpose: str = ""
) -> LoadedCheckpoint:
    """What a run's folder holds of its model; see `load_trained`. A `purpose` needs a run of classification.

    Raises:
        SettingError: settings that do not go together, a run of another kind, or no whole checkpoint.
    """
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
    """The network of a run's folder; `weights` is by default (None) what the run itself tested.

    `config` is the run's, as `read_run_config` gives it, perhaps with other settings of the trainer. `purpose` is
    what the network is for, such as "predict", which needs data of labelled images, too; without one any data will do.

    Raises:
        SettingError: settings that do not go together, no run of classification, no whole checkpoint of this network,
            or a network that takes more than images.
    """
    there = open_checkpoint(path, config, weights, purpose)
    model, epoch = there.network(there.spec)
    model.further_inputs.check_none()
    use_thresholds(model, path)
    choice = hardware.choose_for_run(there.config, model)
    configure_backends(there.config, choice)
    channels_last = choice.channels_last and has_convolutions(model)
    layout = torch.channels_last if channels_last else torch.preserve_format
    device = torch.device({"gpu": "cuda"}.get(choice.accelerator, choice.accelerator))
    model.to(device=device, memory_format=layout)
    return TrainedModel(path, there.config, model.eval(), choice, epoch)


def use_thresholds(model: LightningModule, path: Path) -> None:
    """Give a classifier of images with several classes the thresholds that its run chose."""
    if capabilities.is_classifier(model) and isinstance(model.label_task, MultiLabel):
        model.label_task.use_thresholds(read_metrics(path), model.spec.class_names)


def checkpoint_file(path: Path, config: DictConfig, weights: Weights | None = None) -> Path:
    """The file with the weights that are asked for, or that the run itself tested."""
    folder = path / CHECKPOINTS
    best = weights == "best" or (weights is None and config.test_checkpoint == "best" and (folder / BEST).exists())
    return folder / (BEST if best else LAST)


def spec_of_training(content: dict[str, Any], file: Path, config: DictConfig) -> ImageSpec:
    """The images that the network of a checkpoint was trained on; one of before checkpoints told asks the run's data.

    Raises:
        SettingError: see `spec_of_checkpoint`; or that data is not there.
    """
    if "spec" in content:
        return spec_of_checkpoint(content["spec"], file)
    return capabilities.require_image_data(experiment.build_data(config), NEEDING).spec


def spec_of_checkpoint(content: Any, file: Path) -> ImageSpec:
    """What a checkpoint says of the images.

    Raises:
        SettingError: it is not what a run writes.
    """
    try:
        return SPEC.validate_python(content, strict=False)
    except ValidationError as error:
        raise SettingError(
            f"{file} is not a checkpoint of a run: its description of the images is not that of a run"
        ) from error

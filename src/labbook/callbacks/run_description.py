"""What a run prints of its model and its data before the training, and which features it lacks because of them."""

import logging
from collections.abc import Iterator

from pytorch_lightning import LightningDataModule, LightningModule

from labbook.data.data_record import DataRecord
from labbook.runs.run_folder import RunFolder
from labbook.training import capabilities
from labbook.training.hardware import DeviceChoice

log = logging.getLogger("labbook")


def describe_run(run: RunFolder, module: LightningModule, source: LightningDataModule, choice: DeviceChoice) -> None:
    """Say what is about to be trained, on what and why there, and record what the data is."""
    log.info("%s, on %s", describe_model(module), describe_data(source))
    log.info("device: %s%s", choice.reason, describe_layout(module, choice))
    run.metrics["hardware"] = choice.reason
    if not run.part_of_sweep:  # which has told it
        log.info("into %s", run.path)
    for note in run_notes(module, source):
        log.warning("%s", note)
    if capabilities.is_image_data(source):
        run.record_data(DataRecord.of(source), source.root)


def describe_model(module: LightningModule) -> str:
    """Its name and how many parameters it has."""
    every = sum(item.numel() for item in module.parameters())
    if not every and capabilities.overrides_hooks(module, "configure_model"):
        return f"{capabilities.model_title(module)}, whose layers are created by configure_model"
    trainable, auxiliary = capabilities.trainable_parameters(module), capabilities.auxiliary_parameters(module)
    trained = "" if trainable == every else f"{trainable:,} of "
    without = f" ({every - auxiliary:,} without auxiliary classifiers)" if auxiliary else ""
    return f"{capabilities.model_title(module)}, {trained}{every:,} parameters{without}"


def describe_data(module: LightningDataModule) -> str:
    """Its name, and its images where it says what they are."""
    spec = capabilities.image_spec(module)
    if spec is None:
        return type(module).__name__
    size = f"{spec.channels} x {spec.size} x {spec.size} pixels"
    name = module.title if capabilities.is_image_data(module) else type(module).__name__
    return f"{name}: {spec.num_classes} classes, {size}"


def describe_layout(module: LightningModule, choice: DeviceChoice) -> str:
    """How its images lie in memory, where that matters."""
    return ", channels-last" if choice.channels_last and capabilities.takes_channels_last(module) else ""


def run_notes(module: LightningModule, source: LightningDataModule) -> Iterator[str]:
    """What a user should know of the data, and of what the run does without."""
    if capabilities.is_image_data(source):
        yield from source.notes
    if not capabilities.is_classifier(module):
        title = capabilities.model_title(module)
        yield f"{title} is not a Classifier: no confusion matrix, predictions, predict.py or serve.py"
        if not capabilities.is_validated(module, source):
            yield f"no validation, so the last epoch is kept: {capabilities.how_to_validate(module, source)}"
        if not capabilities.is_tested(module, source):
            yield f"no test at the end: {capabilities.how_to_test(module, source)}"

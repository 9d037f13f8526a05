"""What a run prints about its model, its data and its result."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import LightningDataModule, LightningModule
from pytorch_lightning.utilities.model_helpers import is_overridden

from labbook.config import published
from labbook.data.data_record import KEY, DataRecord
from labbook.errors import SettingError
from labbook.models.weights import LoadedWeights
from labbook.runs.run_folder import RunFolder
from labbook.training import capabilities
from labbook.training.hardware import DeviceChoice

log = logging.getLogger("labbook")

MOST_METRICS = 6  # of a test, on one line


def describe_run(
    run: RunFolder,
    module: LightningModule,
    source: LightningDataModule,
    choice: DeviceChoice,
    loaded: LoadedWeights | None = None,
) -> None:
    log.info("%s, on %s", describe_model(module), describe_data(source))
    layout = ", channels-last" if choice.channels_last and capabilities.takes_channels_last(module) else ""
    log.info("device: %s%s%s", choice.reason, layout, describe_threads(choice))
    run.metrics["hardware"] = choice.reason
    if not run.part_of_sweep:
        log.info("into %s", run.path)
    for note in run_notes(module, source):
        log.warning("%s", note)
    if capabilities.is_image_data(source):
        record_data(run, DataRecord.of(source), source.root)
    if loaded:
        log.info("%s", loaded)
        run.record({"initial_weights": asdict(loaded)}, "running")


def record_data(run: RunFolder, data: DataRecord, root: str) -> None:
    """Record the training data; a resumed run must have the data that was recorded before."""
    if run.state is not None and (changes := DataRecord.read(run.metrics).changes(data)):
        raise SettingError(
            f"the data is not what {run.path} was trained on: {'; '.join(changes)}; a run resumes only with the same"
            " images and classes, so restore them, set their folder with data.root=FOLDER, or start a new run"
        )
    run.record({KEY: data.as_data() | {"root": root}}, "running")


def describe_model(module: LightningModule) -> str:
    every = sum(item.numel() for item in module.parameters())
    if not every and is_overridden("configure_model", module):
        return f"{capabilities.model_title(module)}, with layers that configure_model creates"
    trainable, auxiliary = capabilities.trainable_parameters(module), getattr(module, "num_auxiliary", 0)
    trained = "" if trainable == every else f"{trainable:,} of "
    without = f" ({every - auxiliary:,} without auxiliary classifiers)" if auxiliary else ""
    return f"{capabilities.model_title(module)}, {trained}{every:,} parameters{without}"


def describe_data(module: LightningDataModule) -> str:
    """The title, and the images if the data has a spec."""
    spec = capabilities.image_spec(module)
    if spec is None:
        return type(module).__name__
    size = f"{spec.channels} x {spec.size} x {spec.size} pixels"
    name = module.title if capabilities.is_image_data(module) else type(module).__name__
    return f"{name}: {spec.num_classes} classes, {size}"


def describe_threads(choice: DeviceChoice) -> str:
    threads = torch.get_num_threads()
    if choice.accelerator != "cpu":
        return ""
    enough = " (enough for this network)" if choice.threads else ""
    return f", 1 thread{enough}" if threads == 1 else f", {threads} threads"


def run_notes(module: LightningModule, source: LightningDataModule) -> Iterator[str]:
    if capabilities.is_image_data(source):
        yield from source.notes
    if not capabilities.is_classifier(module):
        title = capabilities.model_title(module)
        yield f"{title} is not a Classifier: no confusion matrix, predictions, predict.py or serve.py"
        if not capabilities.is_validated(module, source):
            yield f"no validation, so the last epoch is kept: {capabilities.how_to_validate(module, source)}"
        if not capabilities.is_tested(module, source):
            yield f"no test at the end: {capabilities.how_to_test(module, source)}"


def describe_result(config: DictConfig, metrics: Mapping[str, Any]) -> None:
    """Print the test metrics, and what was published for the same settings."""
    origin = f"weights of epoch {metrics['tested_epoch']}, {metrics['train_seconds']:.1f} s of training"
    log.info("%s  (%s)", summarize_test(metrics), origin)
    plain = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    for line in published.compare_with_published(plain, metrics):
        log.info("%s", line)


def summarize_test(metrics: Mapping[str, Any]) -> str:
    if "test/loss" in metrics and "test/acc" in metrics:
        return f"test loss {metrics['test/loss']:.4f} acc {metrics['test/acc']:.4f}"
    tested = [f"{name} {metrics[name]:.4g}" for name in metrics.get("test_metrics", [])[:MOST_METRICS]]
    return "  ".join(tested) or f"not tested; {metrics['objective_name']} {metrics['objective']:.4g}"

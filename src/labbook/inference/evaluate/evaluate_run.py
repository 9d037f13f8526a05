"""Another test of a run, on its own data or on another data set."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig
from pytorch_lightning import Callback

from labbook import experiment
from labbook.data.data_record import DataRecord, part_identity
from labbook.data.datamodule import ImageDataModule, Split
from labbook.errors import SettingError
from labbook.fit import apply_channels_last
from labbook.inference.evaluate import other_dataset
from labbook.inference.evaluate.data_checks import (
    ClassMatch,
    check_division,
    check_same_division,
    check_same_images,
    find_overlap,
    match_classes,
)
from labbook.inference.evaluate.final_test import metrics_of_test, run_test
from labbook.inference.run_config import check_classification
from labbook.inference.trained_model import Weights, open_checkpoint, read_data_part, use_thresholds
from labbook.runs.resume import read_run_config
from labbook.runs.run_folder import TABLE, read_metrics
from labbook.trainer import test_trainer
from labbook.training import capabilities, hardware, own_modules
from labbook.training.label_tasks import AnyEvaluationResult


class EvaluatedRun(NamedTuple):
    """The result of a classifier."""

    outcome: AnyEvaluationResult
    data: ImageDataModule
    names: tuple[str, ...]  # of the network's classes
    epoch: int  # of the weights
    matched: ClassMatch
    images: str  # a hash of the images and labels: `part_identity`
    as_recorded: bool | None  # whether the images are those that the run recorded; None: it recorded none
    compared: bool = False  # whether the images were looked for in the training images
    trained_on: int | None = None  # images among them; None: not compared, or those of the training are missing

    def notes(self, split: Split, own: bool) -> list[str]:
        """What the metrics do not say; `own`: the images should be those of the run."""
        changed = f"the {split} images are not those that the run recorded, so the metrics cannot be compared"
        about = ([changed] if self.as_recorded is False else []) if own else self.data.notes
        return [*about, *self.overlap_notes, *self.matched.notes]

    @property
    def overlap_notes(self) -> list[str]:
        if self.trained_on:
            return [f"{self.trained_on:,} of the images were used for training, so the metrics are too good"]
        if self.trained_on is None and self.compared:
            return ["the training images are missing or have changed, so these images could not be compared with them"]
        return []


def evaluate_run(
    path: Path,
    config: DictConfig,
    split: Split,
    weights: Weights | None = None,
    other: DictConfig | None = None,
    own: bool = True,
    callbacks: Sequence[Callback] = (),
) -> EvaluatedRun:
    """Test the network of a run on `config.data` or on an `other` data set; `weights` None: those that the run tested.

    `own`: the images should be those of the run. Images of classes that the network does not know are left out.
    """
    there = open_checkpoint(path, config, weights, "evaluate")
    config, known = there.config, there.spec
    if other is not None:
        config.data = other_dataset.with_network_spec(other, known)
        experiment.check_experiment(config)
    if own:
        check_same_division(config.data, read_run_config(path).data, split)
    record = DataRecord.read(read_metrics(path), known.class_names)
    in_test = split == "test" or (split == "val" and config.data.get("validation") == "test")
    data = read_data_part(config, "test" if in_test else "train", record if own else None)
    check_same_images(data, known)
    if not len(data.rows[split]):
        raise SettingError(f"--split {split}: there is no such image, as data.val_fraction={data.val_fraction}")
    check_division(data, split, record, own)
    part = data.part_of(split)
    as_recorded = not record.changes(DataRecord.of(data), [part]) if part in record.parts else None
    images = part_identity(data, part)
    matched = match_classes(data, known.class_names, split)
    compared = not (as_recorded or (own and as_recorded is None))
    trained_on = find_overlap(path, config, data, split, record) if compared else None
    model, epoch = there.network(known)
    use_thresholds(model, path)
    choice = hardware.choose_for_run(config, model)
    apply_channels_last(model, data, choice.channels_last)
    outcome = run_test(test_trainer(config, choice, model, *callbacks), model, data, split)
    if not math.isfinite(outcome.figures.loss):
        raise SettingError(
            f"the loss of this network is {outcome.figures.loss}, so its predictions are meaningless: use"
            " trainer.precision=32, or train it again"
        )
    return EvaluatedRun(outcome, data, known.class_names, epoch, matched, images, as_recorded, compared, trained_on)


# Other modules ------------------------------------------------------------------------------------------------------


class LoggedTest(NamedTuple):
    """The result of any other module: what its test logs."""

    metrics: dict[str, float]
    data: str  # class of the data module
    epoch: int  # of the weights
    notes: tuple[str, ...] = ()
    outcome: AnyEvaluationResult | None = None  # of a classifier
    class_names: tuple[str, ...] = ()


def evaluate_module(
    path: Path, config: DictConfig, split: str, weights: Weights | None = None, other: DictConfig | None = None
) -> LoggedTest:
    """Test the module of a run on the batches of `test_dataloader`; `weights` as for `evaluate_run`."""
    for purpose in [f"--split {split}"] * (split != "test") + ["another data set"] * (other is not None):
        check_classification(config, purpose)
    there = open_checkpoint(path, config, weights)
    config = there.config
    data = experiment.build_data(config)
    model, epoch = there.model(capabilities.spec_of_data(data))
    if not capabilities.is_tested(model, data):
        raise SettingError(f"there is no test to evaluate: {capabilities.how_to_test(model, data)}")
    choice = hardware.choose_for_run(config, model)
    experiment.set_up_data(data)
    own_modules.adapt_batches(model, data)
    apply_channels_last(model, data, choice.channels_last)
    use_thresholds(model, path)
    metrics = metrics_of_test(test_trainer(config, choice, model), model, data, logged_names(path))
    names = model.spec.class_names if capabilities.is_classifier(model) else ()
    outcome = capabilities.evaluation_result_of(model)
    return LoggedTest(metrics, type(data).__name__, epoch, tuple(data_change_notes(path, data)), outcome, names)


def logged_names(path: Path) -> list[str]:
    """The metrics that a run logged in training and validation; empty if it wrote no table."""
    try:
        with (path / TABLE).open(encoding="utf-8", newline="") as lines:
            return next(csv.reader(lines), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def data_change_notes(path: Path, data: Any) -> list[str]:
    if not capabilities.is_image_data(data):
        return []
    changes = DataRecord.read(read_metrics(path), data.spec.class_names).changes(DataRecord.of(data), ["test"])
    return [f"{'; '.join(changes)}, so the metrics cannot be compared with the run's"] if changes else []

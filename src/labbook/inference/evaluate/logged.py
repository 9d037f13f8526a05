"""A finished run of any other module or data, tested again: what its test logs."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from labbook import experiment
from labbook.data.data_record import DataRecord
from labbook.errors import SettingError
from labbook.files import finite_or_null
from labbook.fit import apply_channels_last
from labbook.inference.evaluate.class_metrics import evaluation_report, print_report, report_as_data
from labbook.inference.evaluate.final_test import metrics_of_test
from labbook.inference.evaluate.output_files import EvaluationDescription, write_evaluation
from labbook.inference.run_config import check_classification
from labbook.inference.trained_model import Weights, open_checkpoint, use_thresholds
from labbook.runs.run_folder import TABLE, read_metrics
from labbook.trainer import test_trainer
from labbook.training import capabilities, hardware, own_modules
from labbook.training.label_tasks import AnyEvaluationResult


class LoggedTest(NamedTuple):
    """What a test logged."""

    metrics: dict[str, float]
    data: str  # class of the data module
    epoch: int  # after so many epochs
    notes: tuple[str, ...] = ()
    outcome: AnyEvaluationResult | None = None  # of a classifier
    class_names: tuple[str, ...] = ()


def evaluate_module(
    path: Path, config: DictConfig, split: str, weights: Weights | None = None, other: DictConfig | None = None
) -> LoggedTest:
    """Test a run's module again on all that its `test_dataloader` gives; `weights` as for `evaluate_run`.

    Raises:
        SettingError: a module or data without a test, another `split` or `other` data, which need a run of
            classification, settings that do not go together, or no whole checkpoint.
    """
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
    """The metrics that a run logged in training and validation; nothing where it wrote no table."""
    try:
        with (path / TABLE).open(encoding="utf-8", newline="") as lines:
            return next(csv.reader(lines), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def data_change_notes(path: Path, data: Any) -> list[str]:
    """What should be said of test images that are not those of the run."""
    if not capabilities.is_image_data(data):
        return []
    changes = DataRecord.read(read_metrics(path), data.spec.class_names).changes(DataRecord.of(data), ["test"])
    return [f"{'; '.join(changes)}, so the metrics cannot be compared with the run's"] if changes else []


def write_logged_test(tested: EvaluationDescription, found: LoggedTest, folder: Path) -> None:
    """The metrics of a test as JSON.

    Raises:
        OSError: they could not be written.
    """
    content = {} if found.outcome is None else report_as_data(evaluation_report(found.outcome, found.class_names))
    content["metrics"] = finite_or_null(found.metrics)
    write_evaluation(tested, folder, found.data, found.epoch, content)


def print_logged_test(found: LoggedTest, every: bool) -> None:
    """Print the metrics, and what is known of each class; of all classes with `every`."""
    if found.outcome is not None:
        print_report(evaluation_report(found.outcome, found.class_names), "test", every)
        return
    for name, value in found.metrics.items():
        print(f"{name} {value:.4f}")

"""The test at the end of a training, and the final metrics of the run."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from torch import Tensor

from labbook.callbacks.epoch_end import epoch_end_of
from labbook.data.data_record import part_identity
from labbook.data.datamodule import ImageDataModule, Split
from labbook.errors import SettingError
from labbook.files import write_whole
from labbook.inference.evaluate import predictions_table
from labbook.loggers import write_summary
from labbook.runs.provenance import library_versions
from labbook.runs.run_folder import PREDICTIONS
from labbook.trainer import filter_lightning_warnings
from labbook.training import capabilities, checkpoint_io, objectives
from labbook.training.classifier import Classifier
from labbook.training.epoch_rows import forked_names, is_layer_metric, metric_names
from labbook.training.label_tasks import (
    AnyEvaluationResult,
    EvaluationResult,
    MultiLabel,
    MultilabelEvaluationResult,
    best_thresholds,
)
from labbook.training.processes import every_rank


def run_test(trainer: Trainer, model: Classifier, data: ImageDataModule, split: Split) -> AnyEvaluationResult:
    """Test a classifier with its current weights on a split of the data."""
    data.test_split = split
    with filter_lightning_warnings():
        trainer.test(model, datamodule=data, verbose=False)
    outcome = capabilities.evaluation_result_of(model)
    assert outcome is not None
    if isinstance(outcome, MultilabelEvaluationResult):
        rows, labels, chances = (
            gather_processes(trainer, each) for each in (outcome.rows, outcome.labels, outcome.probabilities)
        )
        outcome = replace(outcome, rows=rows, labels=labels, probabilities=chances)
    logged = trainer.callback_metrics.items()
    tested = {name.removeprefix("test/"): value.item() for name, value in logged if name.startswith("test/")}
    return replace(outcome, metrics=tested)


def gather_processes(trainer: Trainer, part: Tensor) -> Tensor:
    """The values [n, ...] for the images of all processes; this process has a `part`."""
    counts = [int(count) for count in every_rank(trainer, torch.tensor([len(part)]))]
    padded = part.new_zeros(max(counts), *part.shape[1:])
    padded[: len(part)] = part
    each = zip(every_rank(trainer, padded), counts, strict=True)
    return torch.cat([values[:count] for values, count in each])


def choose_thresholds(trainer: Trainer, model: Classifier, data: ImageDataModule) -> None:
    """Set the threshold of each class by F1 on the validation images, if images have several classes.

    Without validation images it stays 0.5.
    """
    if not isinstance(model.label_task, MultiLabel) or data.validation == "test" or not len(data.rows["val"]):
        return
    found = run_test(trainer, model, data, "val")
    if isinstance(found, MultilabelEvaluationResult):
        model.label_task.thresholds = best_thresholds(found.probabilities, found.labels)


def run_final_test(
    trainer: Trainer, model: LightningModule, data: LightningDataModule, config: DictConfig
) -> dict[str, Any]:
    """Test the best or last weights; the final metrics of the run."""
    recorder, saved = epoch_end_of(trainer).recorder, epoch_end_of(trainer).checkpoints
    tested_epoch = trainer.current_epoch
    if saved.select and saved.best_epoch is not None:
        try:
            tested_epoch = checkpoint_io.load_weights(model, saved.best_path)
        except SettingError as error:
            raise SettingError(f"{error}; with test_checkpoint=last the last weights are tested instead") from error
    row = recorder.rows[tested_epoch - 1]
    metrics: dict[str, Any] = {name: row[name] for name in metric_names(row) if not is_layer_metric(name)}
    if capabilities.is_classifier(model) and capabilities.is_image_data(data):
        metrics |= classifier_metrics(trainer, model, data, config, validated="val/loss" in metrics)
    else:
        metrics |= logged_metrics(trainer, model, data, metrics)
    metrics |= {
        "train_seconds": recorder.seconds,
        "images_per_second": recorder.images_per_second,
        "epochs": trainer.current_epoch,
        "tested_epoch": tested_epoch,
        "parameters": capabilities.trainable_parameters(model),
        "device": str(trainer.strategy.root_device),
        "precision": str(trainer.precision),
        "versions": library_versions(),
    }
    outcome = capabilities.evaluation_result_of(model)
    details = outcome.details(model.spec.class_names) if capabilities.is_classifier(model) and outcome else {}
    metrics |= data_summary(data) | details
    if stopped := saved.stopped_early(trainer, config.epochs):
        metrics["stopped_early"] = stopped
    name = objectives.effective_objective(config.objective, model, data)
    metrics |= {"objective": objective_metric(metrics, name), "objective_name": name}
    write_summary(trainer.loggers, config, recorder.metrics.for_loggers(metrics), trainer.global_step)
    return metrics


def classifier_metrics(
    trainer: Trainer, model: Classifier, data: ImageDataModule, config: DictConfig, validated: bool
) -> dict[str, Any]:
    """The metrics of a classifier's test, and of splits that the tested epoch did not evaluate."""
    choose_thresholds(trainer, model, data)
    outcome = run_test(trainer, model, data, "test")
    metrics: dict[str, Any] = part_metrics("test", outcome, model)
    write_predictions(trainer, outcome, data.spec.class_names, data.parts["test"].files)
    if (config.folds or not validated) and len(data.rows["val"]):
        held_out = run_test(trainer, model, data, "val")
        metrics |= {} if validated else part_metrics("val", held_out, model)
        if config.folds and isinstance(held_out, EvaluationResult):
            metrics["val/confusion_matrix"] = held_out.confusion.tolist()
    if config.evaluate_train:
        metrics["train/acc_eval"] = run_test(trainer, model, data, "train").figures.acc
    model.outcome = outcome
    return metrics


def part_metrics(part: str, outcome: AnyEvaluationResult, model: Classifier) -> dict[str, float]:
    figures = outcome.figures
    top5 = {"top5_acc": figures.top5_acc} if model.has_top5 else {}
    found = {"loss": figures.loss, "acc": figures.acc, **top5, **outcome.metrics}
    return {f"{part}/{name}": value for name, value in found.items()}


def logged_metrics(
    trainer: Trainer, model: LightningModule, data: LightningDataModule, row: Mapping[str, float]
) -> dict[str, Any]:
    """The metrics of any other module's test; `row` has those of the tested epoch."""
    if not capabilities.is_tested(model, data):
        return {}
    metrics = metrics_of_test(trainer, model, data, row)
    if capabilities.is_classifier(model) and model.outcome is not None:
        write_predictions(trainer, model.outcome, model.spec.class_names)
        return {**metrics}
    return {**metrics, "test_metrics": list(metrics)}


def metrics_of_test(
    trainer: Trainer, model: LightningModule, data: LightningDataModule, logged_before: Container[str]
) -> dict[str, float]:
    """The metrics that a test logs; `test/` is added to names that training or validation logged too."""
    logged = logged_in_test(trainer, model, data)
    if capabilities.is_classifier(model) and model.outcome is not None:
        model.outcome = replace(model.outcome, rows=torch.arange(len(model.outcome.labels)))  # in the loader's order
        return part_metrics("test", model.outcome, model) | logged
    return {f"test/{name}" if name in logged_before else name: value for name, value in logged.items()}


def logged_in_test(trainer: Trainer, model: LightningModule, data: LightningDataModule) -> dict[str, float]:
    with filter_lightning_warnings():
        trainer.test(model, datamodule=data, verbose=False)
    logged = trainer.callback_metrics
    return {name: value.item() for name, value in logged.items() if name not in forked_names(logged)}


def data_summary(data: LightningDataModule) -> dict[str, Any]:
    if not capabilities.is_image_data(data):
        return {}
    return {
        "skipped_images": sum(len(part.skipped) for part in data.parts.values()),
        "class_names": list(data.spec.class_names),
        "test_set": part_identity(data),
        "test_images": len(data.rows["test"]),
        "val_images": len(data.rows["val"]),
    }


def write_predictions(
    trainer: Trainer, outcome: AnyEvaluationResult, class_names: Sequence[str], files: Sequence[str] = ()
) -> None:
    """Write the prediction for each test image; with several processes, remove the file of an earlier test instead.

    Each of several processes has only its own images.
    """
    file = Path(trainer.default_root_dir) / PREDICTIONS
    if trainer.world_size == 1:
        write_whole(file, predictions_table.predictions_table(outcome, class_names, files))
    elif trainer.is_global_zero:
        file.unlink(missing_ok=True)


def objective_metric(metrics: dict[str, Any], name: str) -> float:
    """The value of the metric by which runs are compared."""
    value = metrics.get(name)
    if value is None:
        known = ", ".join(key for key, item in metrics.items() if isinstance(item, float))
        raise SettingError(f"objective={name} is not a metric of this run; choices: {known}")
    return float(value)

"""The test at the end of a training, and the run's final figures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import Trainer

from labbook import checkpoints
from labbook.config import held_out
from labbook.data.module import ImageDataModule, Split
from labbook.data.record import identity_of
from labbook.errors import SettingError
from labbook.evaluation import predictions
from labbook.files import write_whole
from labbook.loggers import write_summary
from labbook.models.classifier import Classifier
from labbook.models.label_tasks import AnyOutcome, MultiLabel, MultilabelOutcome, best_thresholds
from labbook.origin import libraries
from labbook.recorder import Recorder
from labbook.runs import PREDICTIONS
from labbook.saving import Checkpoints, stopped_early


def test(trainer: Trainer, model: Classifier, data: ImageDataModule, split: Split) -> AnyOutcome:
    """Evaluate the network as it is on one part of the data."""
    data.test_split = split
    trainer.test(model, datamodule=data, verbose=False)
    assert model.outcome is not None
    return replace(model.outcome, metrics=tested(trainer))


def tested(trainer: Trainer) -> dict[str, float]:
    """What the last test logged as `test/NAME`, by name."""
    logged = trainer.callback_metrics.items()
    return {name.removeprefix("test/"): value.item() for name, value in logged if name.startswith("test/")}


def choose_thresholds(trainer: Trainer, model: Classifier, data: ImageDataModule) -> None:
    """Choose the threshold of each class where images have several, by F1 on the validation images.

    Without these, and with several processes, of which each sees a part of them, they stay 0.5.
    """
    if not isinstance(model.label_task, MultiLabel) or data.validate_on == "test" or trainer.world_size > 1:
        return
    if len(data.rows["val"]):
        found = test(trainer, model, data, "val")
        assert isinstance(found, MultilabelOutcome)
        model.label_task.thresholds = best_thresholds(found.probabilities, found.labels)


def of_split(outcome: AnyOutcome, split: Split) -> dict[str, float]:
    """The metrics of a test of the group `metrics`, by the names that they have in a run."""
    return {f"{split}/{name}": value for name, value in outcome.metrics.items()}


def evaluate(trainer: Trainer, model: Classifier, data: ImageDataModule, config: DictConfig) -> dict[str, Any]:
    """Test the best or last weights and gather the run's final figures."""
    recorder = next(item for item in trainer.callbacks if isinstance(item, Recorder))  # type: ignore[attr-defined]
    saved = next(item for item in trainer.callbacks if isinstance(item, Checkpoints))  # type: ignore[attr-defined]
    tested_epoch = trainer.current_epoch
    if saved.select and saved.best_epoch is not None:
        try:
            tested_epoch = checkpoints.load_weights(model, saved.best_path)
        except SettingError as error:
            raise SettingError(f"{error}; with test_on=last the last weights are tested instead") from error
    choose_thresholds(trainer, model, data)
    outcome = test(trainer, model, data, "test")
    row = recorder.rows[tested_epoch - 1]
    metrics: dict[str, Any] = {name: value for name, value in row.items() if name.startswith(("train/", "val/"))}
    metrics |= {"test/loss": outcome.figures.loss, "test/acc": outcome.figures.acc}
    if model.has_top5:
        metrics["test/top5_acc"] = outcome.figures.top5_acc
    metrics |= of_split(outcome, "test")
    keep_answers(trainer, data, outcome)
    if "val/loss" not in metrics and len(data.rows["val"]):  # the tested epoch was not validated
        validated = test(trainer, model, data, "val")
        validation = validated.figures
        metrics |= {"val/loss": validation.loss, "val/acc": validation.acc, **of_split(validated, "val")}
        if model.has_top5:
            metrics["val/top5_acc"] = validation.top5_acc
    if config.train_acc_eval:
        metrics["train/acc_eval"] = test(trainer, model, data, "train").figures.acc
    metrics |= {
        "train_seconds": recorder.seconds,
        "images_per_second": recorder.images_per_second,
        "epochs": trainer.current_epoch,
        "tested_epoch": tested_epoch,
        "parameters": model.num_parameters,
        "device": str(trainer.strategy.root_device),
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
        "versions": libraries(),
        "skipped_images": sum(len(part.skipped) for part in data.parts.values()),
        "class_names": list(data.spec.class_names),
        "test_set": identity_of(data),
        "test_images": len(data.rows["test"]),
        "val_images": len(data.rows["val"]),
    } | outcome.details(data.spec.class_names)
    if stopped := stopped_early(trainer, config.epochs):
        metrics["stopped_early"] = stopped
    name = held_out(config.objective, data.validate_on if len(data.rows["val"]) else "test")
    metrics |= {"objective": objective(metrics, name), "objective_name": name}
    write_summary(trainer.loggers, config, metrics, trainer.global_step)
    return metrics


def keep_answers(trainer: Trainer, data: ImageDataModule, outcome: AnyOutcome) -> None:
    """Write what was answered to each test image; of several processes each has but its own, so that nothing is kept.

    Nor is then what the run answered when it ended earlier, on one process, and was not trained for so long.

    Raises:
        OSError: it could not be written.
    """
    file = Path(trainer.default_root_dir) / PREDICTIONS
    if trainer.world_size == 1:
        write_whole(file, predictions.table(outcome, data.spec.class_names, data.parts["test"].files))
    elif trainer.is_global_zero:
        file.unlink(missing_ok=True)


def objective(metrics: dict[str, Any], name: str) -> float:
    """The metric that runs are compared by.

    Raises:
        SettingError: the run has none of this name.
    """
    value = metrics.get(name)
    if value is None:
        known = ", ".join(key for key, item in metrics.items() if isinstance(item, float))
        raise SettingError(f"objective={name} is no figure of this run; choices: {known}")
    return float(value)

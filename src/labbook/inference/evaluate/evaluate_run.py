"""A finished run's network tested again, on its own data or on another set."""

import math
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from labbook import experiment
from labbook.data.data_record import DataRecord, part_identity
from labbook.data.datamodule import ImageDataModule, Split
from labbook.errors import SettingError
from labbook.fit import apply_channels_last
from labbook.inference.evaluate import other_dataset
from labbook.inference.evaluate.class_matching import (
    ClassMatch,
    check_division,
    check_same_division,
    check_same_images,
    match_classes,
)
from labbook.inference.evaluate.final_test import run_test
from labbook.inference.evaluate.overlap import Overlap, find_overlap
from labbook.inference.trained_model import Weights, open_checkpoint, read_data_part, use_thresholds
from labbook.runs.resume import read_run_config
from labbook.runs.run_folder import read_metrics
from labbook.trainer import test_trainer
from labbook.training import hardware
from labbook.training.label_tasks import AnyEvaluationResult


class EvaluatedRun(NamedTuple):
    """A finished run's network, tested again."""

    outcome: AnyEvaluationResult
    data: ImageDataModule
    names: tuple[str, ...]  # of the classes, as the network knows them
    epoch: int  # after so many epochs
    matched: ClassMatch  # classes that are not both in the data and in the network
    images: str  # equal where the images are: `record.part_identity`
    as_recorded: bool | None  # whether they are those of this part that the run recorded; None: it recorded none
    seen: Overlap | None = None  # how many of other images the network was trained on


def evaluate_run(
    path: Path,
    config: DictConfig,
    split: Split,
    weights: Weights | None = None,
    other: DictConfig | None = None,
    own: bool = True,
) -> EvaluatedRun:
    """Test a run's network again; `weights` is "best", "last" or, if None, what the run tested.

    It is tested on `config.data`, or on the `other` data set, shown as the network knows its images. `own`: they are
    meant to be the run's own images. Images of classes that the network does not know are left out.

    Raises:
        SettingError: settings that do not go together, images that are shown otherwise than in training, training or
            validation images that are not those of the run, other validation images that it was trained on, or no
            whole checkpoint of this network.
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
    seen = None if as_recorded or (own and as_recorded is None) else find_overlap(path, config, data, split, record)
    model, epoch = there.network(known)
    use_thresholds(model, path)
    choice = hardware.choose_for_run(config, model)
    apply_channels_last(model, data, choice.channels_last)
    outcome = run_test(test_trainer(config, choice, model), model, data, split)
    if not math.isfinite(outcome.figures.loss):
        raise SettingError(
            f"the loss of this network is {outcome.figures.loss}, so its predictions are meaningless: use"
            " trainer.precision=32, or train it again"
        )
    return EvaluatedRun(outcome, data, known.class_names, epoch, matched, images, as_recorded, seen)

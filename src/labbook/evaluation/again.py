"""A finished run's network tested again, on its own data or on another set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig

from labbook import hardware, training
from labbook.data.module import ImageDataModule, Split
from labbook.errors import SettingError
from labbook.evaluation import other_data
from labbook.evaluation.final import test
from labbook.models.classifier import Outcome
from labbook.trained import Weights, opened


class Evaluated(NamedTuple):
    """A finished run's network, tested again."""

    outcome: Outcome
    data: ImageDataModule
    names: tuple[str, ...]  # of the classes, as the network knows them
    epoch: int  # after so many epochs


def evaluate_run(
    path: Path,
    config: DictConfig,
    split: Split,
    weights: Weights | None = None,
    other: DictConfig | None = None,
) -> Evaluated:
    """Test a run's network again; `weights` is "best", "last" or, if None, what the run tested.

    It is tested on `config.data`, or on the `other` data set, shown as the network knows its images.

    Raises:
        SettingError: settings that do not go together, data of another number of classes, or no whole checkpoint of
            this network.
    """
    there = opened(path, config, weights)
    config, known = there.config, there.spec
    if other is not None:
        config.data = other_data.as_seen(other, known)
        training.check(config)
    data = training.build_data(config)
    if data.spec.num_classes != known.num_classes:
        raise SettingError(
            f"the network of {path} tells {known.num_classes} classes apart, and the data has {data.spec.num_classes}:"
            f" test it on data of {known.num_classes} classes"
        )
    model, epoch = there.network(data.spec)
    choice = hardware.here(config, model)
    training.arrange(model, data, choice.channels_last)
    data.setup()
    number_alike(data, known.class_names)
    config.trainer.update(one_process(config.trainer))
    trainer = training.quiet_trainer(config, choice, logger=False, enable_checkpointing=False)
    return Evaluated(test(trainer, model, data, split), data, known.class_names, epoch)


def one_process(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that test on one device, the first that the trainer names: several processes would each see a part."""
    devices = trainer.get("devices")
    first = [devices[0]] if isinstance(devices, Sequence) and not isinstance(devices, str) else 1
    return {"devices": first, "num_nodes": 1, "strategy": "auto"}


def number_alike(data: ImageDataModule, names: Sequence[str]) -> None:
    """Give the classes of the data the network's numbers, where they are the same ones in another order."""
    if sorted(data.class_names) == sorted(names):
        numbers = torch.tensor([names.index(name) for name in data.class_names])
        data.parts = {part: images._replace(labels=numbers[images.labels]) for part, images in data.parts.items()}
        data.class_names = tuple(names)

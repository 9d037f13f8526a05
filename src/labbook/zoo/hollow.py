"""A network without numbers in it: made at once and of any size, for what depends on shapes alone."""

from collections.abc import Callable
from typing import TypeVar

import torch
from omegaconf import DictConfig
from pytorch_lightning import LightningDataModule, LightningModule

from labbook import capabilities, training

Found = TypeVar("Found")


def seen(config: DictConfig, data: LightningDataModule, look: Callable[[LightningModule], Found]) -> Found:
    """What `look` finds in the network that a configuration describes; with numbers, where these are asked for.

    Raises:
        SettingError: a network that these images do not fit.
    """
    try:
        with torch.device("meta"):
            return look(training.build_model(config, capabilities.spec_of(data)))
    except (NotImplementedError, RuntimeError):  # torch's, of a number that is not there
        return look(training.build_model(config, capabilities.spec_of(data)))

"""A network without numbers in it: made at once and of any size, for what depends on shapes alone."""

from collections.abc import Callable
from typing import TypeVar

import torch
from omegaconf import DictConfig

from labbook import training
from labbook.data.module import ImageDataModule
from labbook.models.classifier import Classifier

Found = TypeVar("Found")


def seen(config: DictConfig, data: ImageDataModule, look: Callable[[Classifier], Found]) -> Found:
    """What `look` finds in the network that a configuration describes; with numbers, where these are asked for.

    Raises:
        SettingError: a network that these images do not fit.
    """
    try:
        with torch.device("meta"):
            return look(training.build_model(config, data.spec))
    except (NotImplementedError, RuntimeError):  # torch's, of a number that is not there
        return look(training.build_model(config, data.spec))

"""What is timed: networks, batches and images as the labs have them, with random pixels."""

import gc
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from labbook import experiment
from labbook.config.compose import compose_config
from labbook.data.datamodule import ImageDataModule
from labbook.training import capabilities, hardware
from labbook.training.classifier import Classifier

BASE = ("data=synthetic", "data.val_fraction=0", "seed=0", "test_checkpoint=last")


@dataclass(frozen=True)
class Case:
    """A network with its batch size and images."""

    name: str
    settings: tuple[str, ...]
    steps: int  # of one timing, after a first that does not count
    epoch: int  # steps of an epoch of the lab's own data, over which the end of an epoch is spread

    def composed(self, *more: str) -> DictConfig:
        """The configuration that the command line would give."""
        return compose_config(*BASE, *self.settings, *more)

    @property
    def batch_size(self) -> int:
        """Images of a step."""
        return next(int(item.partition("=")[2]) for item in self.settings if item.startswith("data.batch_size="))

    @property
    def images(self) -> int:
        """Images to train on."""
        return (self.steps + 1) * self.batch_size


def case(
    name: str,
    model: str,
    batch_size: int,
    size: int,
    channels: int,
    steps: int,
    epoch: int,
    *more: str,
    classes: int = 10,
) -> Case:
    """A case from what distinguishes it."""
    settings = (
        f"model={model}",
        f"data.batch_size={batch_size}",
        f"data.image_size={size}",
        f"data.channels={channels}",
        f"data.classes={classes}",
        f"data.images={batch_size * (steps + 1)}",
        *more,
    )
    return Case(name, settings, steps, epoch)


CASES = (
    case("LeNet-5, batch 64", "lenet5", 64, 28, 1, 400, 938),
    case("MLP 784-128-10, batch 32", "mlp", 32, 28, 1, 1000, 1500, "model.width=128"),
    case("MLP 784-128-10, batch 128", "mlp", 128, 28, 1, 400, 469, "model.width=128"),
    case("C2 convnet, batch 128", "convnet", 128, 28, 1, 80, 469),
    case("AlexNet, batch 64", "alexnet", 64, 32, 3, 4, 782),
    case("cats-and-dogs network, batch 128", "cats_dogs_cnn", 128, 256, 3, 2, 63, classes=2),
)


def prepared(config: DictConfig) -> tuple[hardware.DeviceChoice, ImageDataModule, Classifier]:
    """What train.py makes of a configuration before it trains."""
    experiment.check_experiment(config)
    data = capabilities.require_image_data(experiment.build_data(config), "the benchmark")
    model = capabilities.require_classifier(experiment.build_model(config, data.spec), "the benchmark")
    choice = hardware.choose_for_run(config, model)
    data.setup()
    return choice, data, model


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards, and with it what the timing before left in memory."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
    gc.collect()

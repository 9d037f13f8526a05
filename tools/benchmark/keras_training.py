"""Keras' `fit` as a way to train: the same network, translated layer by layer, in a process of its own."""

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from labbook.errors import SettingError, TrainingError
from tools.benchmark.cases import Case, prepared
from tools.benchmark.contenders import Contestant

LOOP = Path(__file__).with_name("keras_loop.py")


def contestant(python: Path) -> Contestant:
    """Keras of a Python, such as that of another virtual environment.

    Raises:
        SettingError: it cannot import Keras.
    """
    try:
        subprocess.run([python, "-c", "import keras"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SettingError(f"--keras={python} must be a Python that can import keras") from error
    return partial(train, python)


def train(python: Path, case: Case, precision: str) -> float:
    """Seconds of a step with Keras' defaults, in 32 bits, with images that are already normalized.

    Raises:
        TrainingError: Keras failed.
    """
    _, data, network = prepared(case.composed(f"trainer.precision={precision}"))
    spec = data.spec
    request = {
        "layers": list(layers(network)),
        "shape": [spec.size, spec.size, spec.channels],
        "classes": spec.num_classes,
        "batch_size": case.batch_size,
        "steps": case.steps,
    }
    ended = subprocess.run([python, LOOP], input=json.dumps(request), capture_output=True, text=True)
    if ended.returncode:
        raise TrainingError(f"Keras ended with {ended.returncode}: {ended.stderr.strip()}")
    return float(ended.stdout.split()[-1])


def layers(network: nn.Module) -> Iterator[tuple[Any, ...]]:
    """The layers of a network, in their order, each with its name here and the options that `keras_loop` takes.

    Raises:
        TrainingError: there is no such layer for Keras.
    """
    flat = False
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            if not flat:
                yield ("Flatten",)
            flat = True
            yield "Linear", layer.out_features
        elif isinstance(layer, nn.Conv2d):
            around = 2 * int(layer.padding[0])
            if layer.stride != (1, 1) or layer.groups != 1 or around not in (0, layer.kernel_size[0] - 1):
                raise TrainingError(f"Keras: no layer for {layer}")
            padding = "same" if around else "valid"
            yield "Conv2d", layer.out_channels, layer.kernel_size, padding, layer.bias is not None
        elif isinstance(layer, nn.MaxPool2d):
            yield "MaxPool2d", layer.kernel_size, layer.stride
        elif isinstance(layer, nn.AdaptiveAvgPool2d):  # of 3 x 3 to 6 x 6 pixels in AlexNet: each is repeated
            yield "Upsample", 2
        elif isinstance(layer, nn.Dropout):
            yield "Dropout", layer.p
        elif isinstance(layer, (nn.BatchNorm2d, nn.ReLU)):
            yield (type(layer).__name__,)
        elif not list(layer.children()) and not isinstance(layer, nn.Sequential):
            raise TrainingError(f"Keras: no layer for {type(layer).__name__}")

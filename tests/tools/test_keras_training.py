"""Keras, as a way to train in the benchmark, gets the same network."""

import json
from pathlib import Path

import pytest
import torch

from labbook.errors import SettingError, TrainingError
from tools.benchmark import keras_training
from tools.benchmark.cases import CASES, Case, prepared


@pytest.mark.usefixtures("tiny")  # registers the configuration
def test_keras_gets_the_same_layers() -> None:
    networks = {each.name: prepared(each.composed("data.images=200"))[2] for each in CASES}
    dense = [("Flatten",), ("Linear", 128), ("ReLU",), ("Linear", 10)]
    assert list(keras_training.layers(networks["MLP 784-128-10, batch 32"])) == dense
    assert list(keras_training.layers(networks["LeNet-5, batch 64"])) == [
        ("Conv2d", 6, (5, 5), "same", True), ("ReLU",), ("MaxPool2d", 2, 2),
        ("Conv2d", 16, (5, 5), "valid", True), ("ReLU",), ("MaxPool2d", 2, 2),
        ("Flatten",), ("Linear", 120), ("ReLU",), ("Linear", 84), ("ReLU",), ("Linear", 10),
    ]  # fmt: skip
    for name in ("C2 convnet, batch 128", "AlexNet, batch 64", "cats-and-dogs network, batch 128"):
        assert sum(layer == ("Flatten",) for layer in keras_training.layers(networks[name])) == 1
    with pytest.raises(TrainingError, match=r"^Keras: no layer for GELU$"):
        list(keras_training.layers(torch.nn.Sequential(torch.nn.GELU())))


def test_keras_is_told_the_case_and_its_failure_is_shown(tiny: Case, tmp_path: Path) -> None:
    """The Python with Keras is replaced by a shell script."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n[ $1 = -c ] && exit 0\ncat > {tmp_path}/told\necho seconds 0.25\n")
    python.chmod(0o755)
    assert keras_training.contestant(python)(tiny, "32") == 0.25
    told = json.loads((tmp_path / "told").read_text())
    assert (told["batch_size"], told["steps"]) == (tiny.batch_size, tiny.steps)
    python.write_text("#!/bin/sh\n[ $1 = -c ] && exit 0\necho no memory >&2\nexit 3\n")
    with pytest.raises(TrainingError, match=r"^Keras ended with 3: no memory$"):
        keras_training.train(python, tiny, "32")
    with pytest.raises(SettingError, match=r"^--keras=elsewhere must be a Python that can import keras$"):
        keras_training.contestant(Path("elsewhere"))

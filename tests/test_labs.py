"""The labs' systems on the real images, held to bands of accuracy: `make test-slow`, with LABBOOK_DATA=FOLDER."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.samples import REAL, needs

ROOT = Path(__file__).parents[1]
MNIST, PHOTOGRAPHS = needs("MNIST"), needs("cats_dogs")
IN_ORDER = "data.shuffle=false"

pytestmark = pytest.mark.slow


def trained(home: Path, *settings: str) -> Path:
    """The folder of one run, trained by the program as a user would."""
    command = [sys.executable, str(ROOT / "train.py"), *settings, "logger=none"]
    ended = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return home / ended.stdout.rstrip().rpartition("run: ")[2]


@MNIST
@pytest.mark.parametrize(
    ("settings", "figure", "least", "most"),
    [
        ("experiment=b1_lenet5_mnist", "test/acc", 0.987, 1.0),
        ("experiment=c2_convnet_mnist", "test/acc", 0.990, 1.0),
        ("experiment=a5_convnet_mnist", "test/acc", 0.991, 1.0),
        ("experiment=e_mlp_mnist model.depth=2", "val/acc", 0.972, 0.982),
        ("experiment=e_mlp_mnist model.depth=3", "val/acc", 0.972, 0.982),
        ("experiment=e_mlp_mnist model.depth=4", "val/acc", 0.972, 0.982),
        ("experiment=e_mlp_mnist model.depth=5", "val/acc", 0.972, 0.982),
    ],
)
def test_a_system_on_mnist_reaches_its_band(
    settings: str, figure: str, least: float, most: float, tmp_path: Path
) -> None:
    run = trained(tmp_path, *settings.split(), f"data.root={REAL}")
    assert least <= json.loads((run / "metrics.json").read_text())[figure] <= most


@PHOTOGRAPHS
@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [
        ("experiment=d1_cats_dogs", 0.60, 1.0),
        (f"experiment=d1_cats_dogs {IN_ORDER}", 0.48, 0.52),  # all cats before all dogs: nothing is learnt
        (f"experiment=d3_cats_dogs {IN_ORDER}", 0.48, 0.52),
    ],
)
def test_cats_and_dogs_are_told_apart_in_any_epoch_only_when_shuffled(
    settings: str, least: float, most: float, tmp_path: Path
) -> None:
    places = (f"data.root={REAL / 'cats_dogs'}", f"data.cache_dir={tmp_path}")
    table = (trained(tmp_path, *settings.split(), *places) / "metrics.csv").read_text().splitlines()
    assert least <= max(float(row["val/acc"]) for row in csv.DictReader(table)) <= most

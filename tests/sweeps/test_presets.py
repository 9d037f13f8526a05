"""The presets of sweeps: what each one runs, and the published figures that its runs are held against."""

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from labbook import experiment
from labbook.config import published, schema
from labbook.installation import CONFIGS
from tests import composing
from tests.callbacks.test_unused_settings import unused_in_preset
from tests.composing import run_of

PRESETS = [path.stem for path in sorted((CONFIGS / "sweep").glob("*.yaml"))]

Figures = dict[str, float]


def c(optimizer: str, epochs: int, train: float, test: float, **more: float) -> tuple[str, Figures]:
    return f"optimizer={optimizer} epochs={epochs}", {"test/acc": test, "train/acc_eval": train, **more}


def e(settings: str, accuracy: float, seconds: float) -> tuple[str, Figures]:
    return settings, {"val/acc": accuracy, "train_seconds": seconds}


# What the labs reported, by preset, system and the settings of the run.
REPORTED: dict[str, dict[str, list[tuple[str, Figures]]]] = {
    "a": {
        "A1": [("experiment=a1_mlp_mnist", {"train/acc": 0.8924})],
        "A2": [("experiment=a2_convnet_mnist", {"test/acc": 0.9711, "train/acc": 0.9609})],
        "A3": [("experiment=a3_convnet_mnist", {"test/acc": 0.9895})],
        "A4": [("experiment=a4_convnet_mnist", {"test/acc": 0.9907})],
        "A5": [("experiment=a5_convnet_mnist", {"test/acc": 0.9919, "val/acc": 0.9934, "train/acc": 0.9982})],
    },
    "b": {
        "B1": [("experiment=b1_lenet5_mnist", {"test/acc": 0.9866, "train/loss": 0.0176})],
        "B2": [("experiment=b2_alexnet_cifar10", {"test/acc": 0.6275, "train/acc": 0.6175})],
    },
    "c1": {
        "C1": [
            c("keras_rmsprop", 2, 0.9796, 0.9717),
            c("keras_rmsprop", 15, 0.99975, 0.9825),
            c("sgd", 2, 0.8850, 0.8926),
            c("sgd", 15, 0.9357, 0.9354),
            c("keras_adam", 2, 0.9785, 0.9715),
            c("keras_adam", 15, 0.9997, 0.9824),
        ]
    },
    "c2": {
        "C2": [
            c("keras_rmsprop", 2, 0.9811, 0.9832),
            c("keras_rmsprop", 15, 0.9943, 0.9909),
            c("sgd", 2, 0.9123, 0.9231),
            c("sgd", 15, 0.9748, 0.9750),
            c("keras_adam", 2, 0.9817, 0.9819),
            c("keras_adam", 15, 0.99575, 0.9918, train_seconds=281.6),
        ]
    },
    "d": {
        "D1": [("experiment=d1_cats_dogs data.shuffle=True", {"test/acc": 0.7415, "train/acc": 0.8111})],
        "D2": [("experiment=d1_cats_dogs data.shuffle=False", {"test/acc": 0.5, "train/acc": 0.935})],
        "D3": [("experiment=d3_cats_dogs data.shuffle=True", {"test/acc": 0.8455, "train/acc": 0.8749})],
        "D4": [("experiment=d3_cats_dogs data.shuffle=False", {"test/acc": 0.5, "train/acc": 0.252})],
    },
    "e1_width": {
        "E1": [
            e("model.width=50", 0.9693, 40.6),
            e("model.width=100", 0.9743, 50.7),
            e("model.width=200", 0.9765, 74.6),
            e("model.width=300", 0.9771, 89.3),
            e("model.width=500", 0.9776, 94.6),
        ]
    },
    "e3_depth": {
        "E3": [
            e("model.depth=2", 0.9737, 61.8),
            e("model.depth=3", 0.9781, 78.9),
            e("model.depth=4", 0.9739, 67.9),
            e("model.depth=5", 0.9766, 78.3),
        ]
    },
    "e_activations": {
        "E2": [e("model.hidden=[128,64] model.activation=relu", 0.9747, 62.4)],
        "E3": [e("model.hidden=[128,128] model.activation=relu", 0.9737, 61.8)],
        "E4": [e("model.hidden=[128,128] model.activation=sigmoid", 0.9738, 74.0)],
        "E5": [e("model.hidden=[128,128] model.activation=[relu,tanh]", 0.9775, 73.1)],
    },
    "e_batch_size": {
        "E0": [("data.batch_size=32", {"val/acc": 0.9735})],
        "E6": [e("data.batch_size=10000", 0.9099, 8.6)],
        "E7": [e("data.batch_size=1", 0.9707, 1361.0)],
    },
}


def values(override: Override) -> list[str]:
    """The values of a swept parameter; of an interval its ends."""
    key = override.get_key_element()
    if override.is_interval_sweep():
        ends = override.value()
        return [f"{key}={ends.start}", f"{key}={ends.end}"]
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


@cache
def combinations(preset: str) -> list[tuple[str, ...]]:
    """The overrides of each run; of a search, those of its lowest and of its highest values."""
    file = composing.file(f"sweep/{preset}.yaml")
    lines = [f"{key}={value}" for key, value in file["hydra"]["sweeper"]["params"].items()]
    swept = [values(override) for override in OverridesParser.create().parse_overrides(lines)]
    if {"override /hydra/sweeper": "optuna"} in file.get("defaults", []):
        return [tuple(item[index] for item in swept) for index in (0, -1)]
    return list(itertools.product(*swept))


def few(preset: str) -> list[tuple[str, ...]]:
    """All combinations of what a lab reported; of others as many as have each value once."""
    runs = combinations(preset)
    if preset in REPORTED:
        return runs
    swept = [list(dict.fromkeys(values)) for values in zip(*runs, strict=True)]
    return [tuple(values[index % len(values)] for values in swept) for index in range(max(map(len, swept)))]


def runs_of(*presets: str) -> list[tuple[str, ...]]:
    return [(f"sweep={preset}", *overrides) for preset in presets for overrides in combinations(preset)]


def entry_of(*overrides: str) -> dict[str, Any] | None:
    plain = OmegaConf.to_container(run_of(*overrides), resolve=True)
    assert isinstance(plain, dict)
    return published.matching_entry(plain)


OF_NO_LAB = ("gradients", "zoo")  # which tests/config/test_config_files.py composes, too


@pytest.mark.parametrize(
    "preset", [pytest.param(name, marks=[pytest.mark.slow] if name in OF_NO_LAB else []) for name in PRESETS]
)
def test_each_run_composes_and_is_held_against_what_the_lab_reported_of_it(preset: str) -> None:
    runs = {" ".join(overrides): run_of(f"sweep={preset}", *overrides) for overrides in few(preset)}
    for tree in runs.values():
        schema.check_root(tree)
        experiment.check_experiment(tree)
        assert unused_in_preset(tree) == []
    plain = {settings: OmegaConf.to_container(tree, resolve=True) for settings, tree in runs.items()}
    assert len({str(content) for content in plain.values()}) == len(runs) > 1
    found = {settings: published.matching_entry(content) for settings, content in plain.items()}
    reported = REPORTED.get(preset, {}).items()
    expected = {settings: (system, final) for system, rows in reported for settings, final in rows}
    assert {settings: (row["system"], row["final"]) for settings, row in found.items() if row} == expected
    rows = {str(row) for tree in runs.values() for row in published.published_entries(tree.published)}
    assert sorted(str(row) for row in found.values() if row) == sorted(rows), "each row is that of one run"


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_each_network_learns_from_its_images(preset: str, tmp_path: Path) -> None:
    trees = [run_of(f"sweep={preset}", *overrides) for overrides in combinations(preset)]
    for tree in {(OmegaConf.to_yaml(tree.model), str(tree.config_groups.data)): tree for tree in trees}.values():
        learns(tree, tmp_path)


def learns(tree: DictConfig, tmp_path: Path) -> None:
    """A gradient reaches every parameter of a run's network from images like those of its data."""
    if tree.config_groups.data == "cats_dogs":  # whose classes are the names of folders
        for part, name in itertools.product((tree.data.train_folder, tree.data.test_folder), ("cats", "dogs")):
            (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
        tree.data.root = str(tmp_path)
    data = experiment.build_data(tree)
    model = experiment.build_model(tree, data.spec)
    logits = model(torch.rand(2, data.spec.channels, data.spec.size, data.spec.size))
    assert logits.shape == (2, data.spec.num_classes)
    F.cross_entropy(logits, torch.tensor([0, 1])).backward()
    assert all(item.grad is not None for item in model.parameters())


def test_an_experiment_alone_is_held_against_its_row() -> None:
    found = entry_of("experiment=e0_mlp_mnist")
    assert found is not None
    assert (found["system"], found["epochs"], found["final"]) == ("E0", 6, {"val/acc": 0.9735})
    assert run_of("experiment=e0_mlp_mnist").epochs == 6


def test_the_recipe_of_airbench94_is_held_against_its_paper() -> None:
    found = entry_of("experiment=airbench94")
    assert found is not None
    assert found["final"] == {"test/acc": 0.94}
    assert entry_of("experiment=airbench94", "model=alexnet") is None
    optimizer = run_of("experiment=airbench94").optimizer
    scale = 1 + 1 / (1 - optimizer.momentum)  # the paper's rates are divided by it
    assert optimizer.lr == pytest.approx(11.5 / scale)
    assert optimizer.weight_decay * optimizer.lr == pytest.approx(0.0153 / scale, rel=0.01)


# Settings that tell whether a run is the lab's --------------------------------------------------------------------


def test_the_runs_of_lab_e_differ_only_in_what_is_varied() -> None:
    for overrides in runs_of(*(preset for preset in PRESETS if preset.startswith("e"))):
        tree = run_of(*overrides)
        assert (tree.epochs, tree.test_checkpoint, tree.optimizer.lr, tree.optimizer.eps) == (10, "last", 0.001, 1e-7)
        assert (tree.config_groups.model, tree.config_groups.data, tree.config_groups.optimizer) == (
            "mlp",
            "mnist",
            "keras_adam",
        )
        assert (tree.data.normalize, tree.data.val_fraction, tree.data.val_split) == ("unit", 0.2, "last")
        assert tree.data.batch_size == 32 or "e_batch_size" in overrides[0]
        assert (tree.model.depth, tree.model.width) == (1, 128) or overrides[0] in ("sweep=e1_width", "sweep=e3_depth")


def test_in_lab_d_each_optimizer_has_its_own_rate() -> None:
    for overrides in runs_of("d"):
        tree = run_of(*overrides)
        assert (tree.config_groups.optimizer, tree.optimizer.lr) in {("sgd", 0.1), ("adam", 0.01)}


def test_digits_are_never_flipped() -> None:
    for overrides in runs_of("a", "b"):
        tree = run_of(*overrides)
        assert (tree.config_groups.data, list(tree.data.augment)) in [("mnist", []), ("cifar10", ["flip", {"crop": 4}])]


def test_gradients_are_measured() -> None:
    assert all("gradient_norms" in run_of(*run).callbacks for run in runs_of("gradients"))

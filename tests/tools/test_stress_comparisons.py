"""The stress test finds every difference between two runs."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.conftest import Command
from tests.tools.test_stress import QUICK
from tools.stress import (
    bit_equality,
)


@pytest.fixture
def run(labbook: Command) -> Path:
    """A finished run."""
    return labbook(*QUICK, "epochs=1").run


def test_a_copy_is_the_same_and_the_smallest_change_is_not(run: Path) -> None:
    other = Path(shutil.copytree(run, "other"))
    assert bit_equality.differences(run, other) == []
    last = other / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content["state_dict"]["head.bias"][3] = content["state_dict"]["head.bias"][3].nextafter(torch.tensor(9.0))
    content["optimizer_states"][0]["state"][0]["step"] += 1
    torch.save(content, last)
    (other / "metrics.csv").write_text((other / "metrics.csv").read_text().replace("0.", "0.0", 1))
    (other / "metrics.json").write_text((other / "metrics.json").read_text().replace('"epochs": 1', '"epochs": 2'))
    next(other.glob("events.out.*")).unlink()
    found = bit_equality.differences(run, other)
    names = ["last.ckpt.optimizer_states[0].state.0.step", "last.ckpt.state_dict.head.bias", "metrics.json.epochs"]
    for name in names:
        assert name in found
    assert any(name.startswith("metrics.csv[0].") for name in found)
    assert "events.loss/train (missing in the second)" in found
    assert all(name.startswith(("last.ckpt.", "metrics.", "events.")) for name in found)


def test_half_files_are_noticed(run: Path) -> None:
    assert bit_equality.halves(run) == []
    assert bit_equality.newest_step(run) == 1
    best, last = (run / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    changed = bytearray(last.read_bytes())
    changed[len(changed) // 2] ^= 1
    last.write_bytes(changed)
    best.write_bytes(best.read_bytes()[:-100])
    (run / "checkpoints" / ".last.ckpt.partial").write_bytes(b"unfinished, and named so")
    for name in ("metrics.csv", "metrics.json"):
        (run / name).write_text((run / name).read_text()[:-5])
    (run / "config.yaml").write_text("model: [1\n")
    (run / "figures").mkdir(exist_ok=True)
    (run / "figures" / "curves.png").write_bytes(b"\x89PNG")
    whole = ["best.ckpt", "last.ckpt", "config.yaml", "metrics.json", "metrics.csv", "curves.png"]
    assert bit_equality.halves(run) == whole
    assert bit_equality.newest_step(run) == -1


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ({"a": [1.0, {"b": 2}]}, {"a": [1.0, {"b": 3}]}, ["a[1].b"]),
        ({"a": 0.0}, {"a": -0.0}, ["a"]),
        ({"a": float("nan")}, {"a": float("nan")}, []),
        ({"a": 1}, {"a": 1.0}, ["a"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
        ({"a": 1}, {}, ["a (missing in the second)"]),
        ({"a": torch.zeros(2)}, {"a": torch.zeros(2, dtype=torch.float64)}, ["a"]),
        ({"a": torch.tensor([0.0])}, {"a": torch.tensor([-0.0])}, ["a"]),
    ],
)
def test_trees_differ_where_they_do(one: object, other: object, names: list[str]) -> None:
    assert list(bit_equality.differing(one, other)) == names

"""Pictures with two digits each: trained, tested, evaluated, predicted and exported with several classes each."""

import csv
import json
from pathlib import Path

import pytest
import torch
from mylab.data.two_digits import TwoDigits

from labbook.commands import evaluate, predict
from labbook.data.module import Images
from labbook.errors import SettingError
from tests.conftest import Command

MULTI = ("data=two_digits", "loss=bce", "loss.class_weights=balanced", "model=mlp", "model.hidden=[32]")
QUICK = ("data.limit=600", "data.val_from=stratified", "epochs=12")
METRICS = ("metrics=full", "~metrics.calibration_error", "logger=none")


@pytest.fixture
def run(mylab: Command) -> Path:
    """A run on them."""
    ended = mylab(*MULTI, *QUICK, *METRICS)
    assert ended.code == 0, ended.err
    return ended.run


def test_a_run_knows_several_classes(run: Path, script: object, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test/mean_average_precision"] > 0.5  # of chance: 0.19
    assert metrics["test/average_precision"] == pytest.approx(metrics["test/mean_average_precision"])
    assert metrics["test/f1_by_class"].keys() == metrics["thresholds"].keys() == {*"0123456789"}
    assert "test/confusion_matrix" not in metrics
    with (run / "test_predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first = TwoDigits(limit=600)
    first.setup()
    assert rows[0]["labels"] == first.spec.name_of(first.parts["test"].labels[0])
    thresholds = metrics["thresholds"]
    assert rows[1]["predicted"].strip("–").split("|") == (
        [name for name in thresholds if float(rows[1][f"p_{name}"]) > thresholds[name]] or [""]
    )

    of: object = script
    judged = of(evaluate)(run)  # type: ignore[operator]
    assert "average precision" in judged.out
    again = json.loads((run / "evaluation" / "evaluation.json").read_text())
    f1 = {row["name"]: row["f1"] for row in again["classes"]}
    assert f1 == pytest.approx(metrics["test/f1_by_class"])

    said = of(predict)(run, "--test-index", "0", "1", "--json", "p.json")  # type: ignore[operator]
    assert said.out.splitlines()[0].endswith("classes")
    guesses = json.loads(Path("p.json").read_text())
    assert ["|".join(each["classes"]) or "–" for each in guesses] == [row["predicted"] for row in rows[:2]]


def test_labels_of_several_classes_need_to_be_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TwoDigits, "multilabel", False)
    with pytest.raises(SettingError, match="multilabel = True"):
        TwoDigits(limit=20).setup()


def test_labels_of_one_class_are_refused_where_several_are_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Images(torch.full((4, 1, 16, 16), 200, dtype=torch.uint8), torch.arange(4))
    monkeypatch.setattr(TwoDigits, "read", lambda _: (one, one))
    with pytest.raises(SettingError, match=r"must have labels \[4, 10\], 0 or 1 for each image and class"):
        TwoDigits(val_seed=3, root="other").setup()

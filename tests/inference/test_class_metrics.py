"""Metrics by class and calibration, compared with values computed by hand and by torchmetrics."""

import json
import math
from dataclasses import asdict

import pytest
import torch
from rich.console import Console
from torchmetrics.functional.classification import binary_calibration_error

from labbook.data.datamodule import Images
from labbook.files import finite_or_null
from labbook.inference.evaluate import class_metrics
from labbook.inference.evaluate.class_metrics import BINS, bins_of, evaluation_report, expected_error
from labbook.plots import contact_sheet, plots
from labbook.training.label_tasks import EvaluationResult
from labbook.training.metrics import Metrics


def outcome_of(labels: list[int], predicted: list[int], classes: int, confidence: float = 0.8) -> EvaluationResult:
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    for true, taken in zip(labels, predicted, strict=True):
        confusion[true, taken] += 1
    right = sum(true == taken for true, taken in zip(labels, predicted, strict=True)) / len(labels)
    sure = torch.full((len(labels),), confidence)
    rows, true, guessed = torch.arange(len(labels)), torch.tensor(labels), torch.tensor(predicted)
    return EvaluationResult(Metrics(0.5, right, right, len(labels)), confusion, rows, true, guessed, sure)


def test_precision_recall_and_f1_by_hand() -> None:
    found = evaluation_report(outcome_of([0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 0, 0, 1], 3), ["ape", "bee", "cat"])
    assert [row.name for row in found.classes] == ["ape", "bee", "cat"]
    assert [row.images for row in found.classes] == [4, 2, 2]
    assert [row.precision for row in found.classes] == pytest.approx([3 / 5, 1 / 3, 0])
    assert [row.recall for row in found.classes] == pytest.approx([3 / 4, 1 / 2, 0])
    assert [row.f1 for row in found.classes] == pytest.approx([2 / 3, 2 / 5, 0])
    assert (found.precision, found.recall) == (pytest.approx((3 / 5 + 1 / 3) / 3), pytest.approx(1.25 / 3))
    assert found.f1 == pytest.approx((2 / 3 + 2 / 5) / 3)
    assert found.calibration_error == pytest.approx(abs(0.8 - 4 / 8))


def test_a_class_without_images_has_no_figures_and_no_part_in_the_means() -> None:
    found = evaluation_report(outcome_of([0, 0, 1], [0, 2, 1], 3), ["ape", "bee", "cat"])
    assert found.recall == pytest.approx((1 / 2 + 1) / 2)
    assert found.precision == pytest.approx(1)
    data = json.loads(json.dumps(finite_or_null(asdict(found)), allow_nan=False))
    assert data["classes"][2] == {"name": "cat", "precision": None, "recall": None, "f1": None, "images": 0}
    assert data["bins"][0]["confidence"] is None


@pytest.mark.parametrize("every", [False, True])
def test_of_many_classes_the_worst_are_shown(every: bool, capsys: pytest.CaptureFixture[str]) -> None:
    labels = list(range(100))
    predicted = [0 if label >= 90 else label for label in labels]
    class_metrics.print_report(
        evaluation_report(outcome_of(labels, predicted, 100), [f"class{label}" for label in labels]), "test", every
    )
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("class")][1:]
    assert len(shown) == (100 if every else 20)
    assert {f"class{label}" for label in range(90, 100)} <= set(shown)
    assert "class0" in shown


def test_hostile_names_are_printed_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["$\\bad{", "\x1b[31m red", "猫 [b]"]
    outcome = outcome_of([0, 1, 2, 2], [1, 1, 2, 0], 3)
    class_metrics.print_report(
        evaluation_report(outcome, names), "test", console=Console(width=80, force_terminal=False)
    )
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "猫 [b]" in out
    assert plots.confusion_matrix(outcome.confusion, ["$\\bad{", "b$ $", "猫"], "a title").shape[2] == 3
    images = Images(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), outcome.labels)
    wrong = plots.plot_mistakes(outcome, images, names, "", 25)
    assert wrong is not None
    assert wrong.shape[1] == contact_sheet.NARROWEST  # two images beside each other
    assert plots.plot_mistakes(outcome_of([0, 1], [0, 1], 2), images, names, "", 25) is None
    assert plots.plot_mistakes(outcome, images, names, "", 0) is None


# Calibration --------------------------------------------------------------------------------------------------------


def test_bins_counted_by_hand() -> None:
    confidence = torch.tensor([0.5, 0.55, 0.7, 0.75, 1.0])
    bins = bins_of(confidence, torch.tensor([True, False, True, True, True]), count=4)
    assert [(item.low, item.high) for item in bins] == [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]
    assert [item.images for item in bins] == [0, 1, 3, 1]  # an edge belongs to the bin below it, and so does 1
    assert [item.accuracy for item in bins[1:]] == pytest.approx([1, 2 / 3, 1])
    assert [item.confidence for item in bins[1:]] == pytest.approx([0.5, 2 / 3, 1])
    assert math.isnan(bins[0].accuracy)
    assert expected_error(bins) == pytest.approx((1 * 0.5 + 3 * 0 + 1 * 0) / 5)


def test_as_torchmetrics_has_it_where_nothing_lies_on_an_edge() -> None:
    random = torch.Generator().manual_seed(0)
    confidence = 0.05 + 0.9 * torch.rand(500, generator=random)
    correct = torch.rand(500, generator=random) < confidence**2
    expected = binary_calibration_error(confidence, correct.long(), n_bins=BINS).item()
    assert expected > 0.1
    assert expected_error(bins_of(confidence, correct)) == pytest.approx(expected, abs=1e-6)

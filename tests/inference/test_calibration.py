"""Calibration, against bins counted by hand and against torchmetrics."""

import math

import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from labbook.inference.evaluate.class_metrics import BINS, bins_of, expected_error


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

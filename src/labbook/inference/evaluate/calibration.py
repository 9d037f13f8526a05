"""Whether a network is right as often as it is sure: its predictions in bins of their confidence."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 15


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence lies above `low` and up to `high`."""

    low: float
    high: float
    images: int
    confidence: float  # means over these; nan where there are none
    accuracy: float


def bins_of(confidence: Tensor, correct: Tensor, count: int = BINS) -> list[Bin]:
    """Bins of equal width over (0, 1], of confidences float32 [n] and whether they were right, bool [n].

    torchmetrics puts a confidence of exactly 1, of which trained networks have many, into a bin of its own.
    """
    edges = torch.arange(1, count, dtype=torch.float64) / count
    which = torch.bucketize(confidence.double(), edges)  # its own upper edge belongs to a bin
    images = which.bincount(minlength=count)
    sure, right = (which.bincount(values.double(), minlength=count) / images for values in (confidence, correct))
    limits = [0.0, *edges.tolist(), 1.0]
    columns = zip(limits[:-1], limits[1:], images.tolist(), sure.tolist(), right.tolist(), strict=True)
    return [Bin(*column) for column in columns]


def expected_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error (Guo et al., 2017): the mean distance of confidence and accuracy, by images."""
    distances = [item.images * abs(item.confidence - item.accuracy) for item in bins if item.images]
    return sum(distances) / sum(item.images for item in bins)

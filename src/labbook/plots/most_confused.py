"""The most confused pairs of classes. Imports no torch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

MOST_CLASSES = 50  # up to so many classes a matrix is readable; for more, pairs are shown
MOST_PAIRS = 25


class Confused(NamedTuple):
    """The images of one class that were predicted as another."""

    true: int
    predicted: int
    images: int
    share: float  # of the images of the true class


def most_confused(counts: "np.ndarray[Any, Any]", most: int = MOST_PAIRS) -> list[Confused]:
    """The pairs of classes confused most often, from counts by true and predicted class, [classes, classes]."""
    totals = counts.sum(axis=1)
    wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = (divmod(int(flat), len(counts)) for flat in order)
    return [
        Confused(true, other, int(counts[true, other]), float(counts[true, other] / totals[true]))
        for true, other in places
        if wrong[true, other] > 0
    ]


def describe_confused(counts: "np.ndarray[Any, Any]", names: Sequence[str]) -> str:
    """The three most confused pairs."""
    said = [f"{names[pair.true]} for {names[pair.predicted]} ({pair.images})" for pair in most_confused(counts, 3)]
    return f"Most frequent errors: {', '.join(said)}." if said else "No image is wrong."

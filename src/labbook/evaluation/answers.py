"""What a run's network answered to each image of the test set, kept so that runs can be compared. Imports no torch."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Integers = np.ndarray[Any, np.dtype[np.int64]]
Booleans = np.ndarray[Any, np.dtype[np.bool_]]
HEAD = ("image", "label", "predicted")  # the first columns: an image's place in the test set, and its classes


@dataclass(frozen=True, eq=False)
class Answers:
    """True and predicted classes, int64 [n], in the order of the test set."""

    test_set: str  # equal where the images are: `record.identity_of`
    labels: Integers
    predicted: Integers

    @classmethod
    def of(cls, test_set: str, rows: Any, labels: Any, predicted: Any) -> "Answers":
        """From tensors or arrays [n]; `rows` are the places of the images in the test set."""
        order = np.argsort(np.asarray(rows))
        return cls(test_set, np.asarray(labels)[order], np.asarray(predicted)[order])

    @property
    def right(self) -> Booleans:
        """Which images were told right, bool [n]."""
        return np.equal(self.labels, self.predicted)

    @property
    def accuracy(self) -> float:
        """The part that was told right."""
        return float(self.right.mean())

    @classmethod
    def read(cls, file: Path, test_set: str) -> "Answers | None":
        """From a run's table of predictions; None where there is none, or it is damaged.

        Runs of older versions have the columns of `HEAD` alone.
        """
        try:
            with file.open(encoding="utf-8", newline="") as lines:
                head, *rows = csv.reader(lines)
            whole = tuple(head[: len(HEAD)]) == HEAD and all(len(row) == len(head) for row in rows)
            table = np.array([row[: len(HEAD)] for row in rows], dtype=np.int64)
        except (OSError, ValueError, OverflowError, csv.Error):
            return None
        if not whole or table.ndim != 2 or not np.array_equal(table[:, 0], np.arange(len(table))):
            return None
        return cls(test_set, table[:, 1], table[:, 2])

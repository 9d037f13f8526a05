"""The predictions of a run for the test images, for comparing runs. Imports no torch."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Classes = np.ndarray[Any, np.dtype[np.int64]] | np.ndarray[Any, np.dtype[np.str_]]
Booleans = np.ndarray[Any, np.dtype[np.bool_]]
HEAD = ("image", "label", "predicted")  # columns: number of the image in the test set, true and predicted class
SEVERAL = ("image", "labels", "predicted")  # columns if images have several classes


@dataclass(frozen=True, eq=False)
class Predictions:
    """True and predicted classes, int64 [n], in the order of the test set; with several per image, texts as 3|7."""

    test_set: str  # a hash of the images and labels: `part_identity`
    labels: Classes
    predicted: Classes

    @classmethod
    def of(cls, test_set: str, rows: Any, labels: Any, predicted: Any) -> "Predictions":
        """From tensors or arrays [n]; `rows` are the numbers of the images in the test set."""
        order = np.argsort(np.asarray(rows))
        return cls(test_set, np.asarray(labels)[order], np.asarray(predicted)[order])

    @property
    def right(self) -> Booleans:
        """Which images are predicted correctly, with all their classes, bool [n]."""
        return np.asarray(self.labels == self.predicted)

    @property
    def several_classes(self) -> bool:
        return self.labels.dtype.kind == "U"

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @classmethod
    def read(cls, file: Path, test_set: str) -> "Predictions | None":
        """From the file of a run; None if it is missing or damaged. Files of older versions have only `HEAD`."""
        try:
            with file.open(encoding="utf-8", newline="") as lines:
                head, *rows = csv.reader(lines)
            several = set(SEVERAL) <= set(head)
            columns = [head.index(name) for name in (SEVERAL if several else HEAD)]
            whole = (several or tuple(head[: len(HEAD)]) == HEAD) and all(len(row) == len(head) for row in rows)
            if not whole:
                return None
            images, labels, predicted = np.array([[row[index] for index in columns] for row in rows]).T
            images = images.astype(np.int64)
            if not several:
                labels, predicted = labels.astype(np.int64), predicted.astype(np.int64)
        except (OSError, ValueError, OverflowError, csv.Error):
            return None
        if not np.array_equal(images, np.arange(len(images))):
            return None
        return cls(test_set, labels, predicted)

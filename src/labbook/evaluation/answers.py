"""What a run's network answered to each image of the test set, kept so that runs can be compared. Imports no torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labbook.files import write_whole

if TYPE_CHECKING:  # it would import torch
    from labbook.data.module import ImageDataModule

Integers = np.ndarray[Any, np.dtype[np.int64]]
Booleans = np.ndarray[Any, np.dtype[np.bool_]]
HEAD = "image,label,predicted"


@dataclass(frozen=True, eq=False)
class Answers:
    """True and predicted classes, int64 [n], in the order of the test set."""

    test_set: str  # equal where the images are: `identity_of`
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

    def write(self, file: Path) -> None:
        """Keep them as CSV.

        Raises:
            OSError: they could not be written.
        """
        pairs = zip(self.labels.tolist(), self.predicted.tolist(), strict=True)
        lines = (f"{image},{label},{predicted}\n" for image, (label, predicted) in enumerate(pairs))
        write_whole(file, f"{HEAD}\n{''.join(lines)}")

    @classmethod
    def read(cls, file: Path, test_set: str) -> "Answers | None":
        """What was kept; None where nothing was, or it is damaged."""
        try:
            head, *lines = file.read_text(encoding="utf-8").splitlines()
            table = np.array([line.split(",") for line in lines], dtype=np.int64)
        except (OSError, ValueError, OverflowError):
            return None
        whole = head == HEAD and table.ndim == 2 and table.shape[1] == 3
        if not whole or not np.array_equal(table[:, 0], np.arange(len(table))):
            return None
        return cls(test_set, table[:, 1], table[:, 2])


def identity_of(data: "ImageDataModule") -> str:
    """Eight characters that are equal where the test images are, whatever size and colours they are shown in."""
    test = data.parts["test"]
    told = (test.content or type(data).__name__, data.class_names)
    return hashlib.sha256(repr(told).encode() + test.labels.numpy().tobytes()).hexdigest()[:8]

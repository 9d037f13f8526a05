"""Notes on problems of a training, each printed once in a run, after the epoch that shows it."""

import logging
import math
from collections.abc import Sequence
from itertools import pairwise

import torch

from labbook.data.datamodule import ImageDataModule, Split
from labbook.data.image_spec import label_combinations
from labbook.training.epoch_rows import Row

log = logging.getLogger("labbook")

FIRST_STEPS = 100  # in which a network may be no better than guessing...
FEW_STEPS = 10  # ... and in which it may be if there is a known reason
DEVIATIONS = 2.0  # of an accuracy by chance: smaller differences do not count
RISES = 4  # epochs in a row with a validation loss that rises by more than chance
RISEN = 1.1  # the total rise
WAITING = 0.2  # fraction of the time that a GPU may wait for images


class TrainingDiagnostics:
    """Prints what is wrong with a training while there is time to change it.

    Except for the waiting time, it needs the rows of the epochs only, so a checkpoint has no state of it.
    """

    def __init__(self, data: ImageDataModule) -> None:
        self.data = data
        self._said: set[str] = set()

    def start(self, rows: Sequence[Row]) -> None:
        if self.data.waiting is not None:
            self.data.waiting.seconds = 0.0
        for count in range(1, len(rows) + 1):
            self._said |= find_problems(rows[:count], self.data).keys()

    def check(self, rows: Sequence[Row]) -> None:
        notes, waiting = find_problems(rows, self.data), self.data.waiting
        if waiting is not None:
            share = waiting.seconds / (rows[-1]["images"] / rows[-1]["images_per_second"])
            waiting.seconds = 0.0
            if share > WAITING:
                notes["waiting"] = (
                    f"the GPU waited for images {share:.0%} of the training time: data.on_device=true keeps them on it"
                    " if there is room, and a smaller data.image_size takes less"
                )
        for note in (note for kind, note in notes.items() if kind not in self._said):
            log.warning("note: %s", note)
        self._said |= notes.keys()


def find_problems(rows: Sequence[Row], data: ImageDataModule) -> dict[str, str]:
    notes = {"guessing": guessing_note(rows[-1], data), "overfitting": overfitting_note(rows)}
    return {kind: note for kind, note in notes.items() if note is not None}


def guessing_note(row: Row, data: ImageDataModule) -> str | None:
    """A note if the network, after its first steps, is no better than predicting the largest class.

    With images sorted by class it learns one class after the other, so training accuracy often looks good.
    """
    split: Split = "val" if "val/acc" in row else "train"
    looked_at, steps, advice = {split, "train"}, FIRST_STEPS, "try another optimizer.lr"
    if not data.shuffle and is_sorted_by_class(labels_of_part(data, "train")):
        looked_at, steps, advice = {split}, FEW_STEPS, "the images are sorted by class: use data.shuffle=true"
    if row["step"] < steps or not all(is_chance(row[f"{each}/acc"], labels_of_part(data, each)) for each in looked_at):
        return None
    return f"{split} acc {row[f'{split}/acc']:.4f} is at chance level; {advice}"


def is_chance(accuracy: float, labels: torch.Tensor) -> bool:
    """Whether an accuracy on images with these classes, int64 [n], is no better than predicting the largest class."""
    largest = int(torch.bincount(labels).max()) / len(labels)
    return accuracy < 1 and accuracy <= largest + DEVIATIONS * math.sqrt(largest * (1 - largest) / len(labels))


def labels_of_part(data: ImageDataModule, split: Split) -> torch.Tensor:
    """The class, or combination of classes, of each image of a split, int64 [n], in the order of the set."""
    return label_combinations(data.parts[data.part_of(split)].labels[data.rows[split]])


def is_sorted_by_class(labels: torch.Tensor) -> bool:
    changes = int((labels[1:] != labels[:-1]).sum())
    return 0 < changes < 2 * len(torch.unique(labels))


def overfitting_note(rows: Sequence[Row]) -> str | None:
    """A note if validation loss rose for some epochs in a row while training loss fell."""
    last = rows[-RISES - 1 :]
    if len(last) <= RISES or not all("val/loss" in row for row in last):
        return None
    steps = list(pairwise(last))
    rises = all(after["val/loss"] > before["val/loss"] for before, after in steps)
    falls = all(after["train/loss"] < before["train/loss"] for before, after in steps)
    if not (rises and falls and last[-1]["val/loss"] > RISEN * last[0]["val/loss"]):
        return None
    return (
        f"val loss has risen for {RISES} epochs while train loss fell, so the network overfits: use"
        " callbacks=early_stopping, data.augment, weight decay or a smaller network"
    )

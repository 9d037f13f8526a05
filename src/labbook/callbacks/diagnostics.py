"""What a person watching the training would notice, said in a sentence after the epoch that shows it, once a run."""

import logging
import math
from collections.abc import Sequence
from itertools import pairwise

import torch

from labbook.data.datamodule import ImageDataModule, Split
from labbook.data.image_spec import label_combinations
from labbook.training.epoch_rows import Row

log = logging.getLogger("labbook")

FIRST_STEPS = 100  # in which a network may be as good as guessing...
FEW_STEPS = 10  # ... and in which it may be although there is a known reason
DEVIATIONS = 2.0  # of an accuracy by chance, within which it is no better than that
RISES = 4  # epochs in a row, of a validation loss that rises by more than chance
RISEN = 1.1  # by so much altogether
WAITING = 0.2  # of the training's time, that a GPU may wait for images


class TrainingDiagnostics:
    """Says what is wrong with a training while there is time to do something about it.

    All but the waiting is found in the rows of the epochs alone, so nothing of it is in a checkpoint: a run that goes
    on knows from its rows what was said before.
    """

    def __init__(self, data: ImageDataModule) -> None:
        self.data = data
        self._said: set[str] = set()

    def start(self, rows: Sequence[Row]) -> None:
        """Note what was said of the epochs before the run was interrupted."""
        if self.data.waiting is not None:
            self.data.waiting.seconds = 0.0
        for count in range(1, len(rows) + 1):
            self._said |= find_problems(rows[:count], self.data).keys()

    def check(self, rows: Sequence[Row]) -> None:
        """Say what the last epoch shows and none before did."""
        notes, waiting = find_problems(rows, self.data), self.data.waiting
        if waiting is not None:
            share, waiting.seconds = waiting.seconds / training_seconds(rows[-1]), 0.0
            if share > WAITING:
                notes["waiting"] = waiting_note(share)
        for note in (note for kind, note in notes.items() if kind not in self._said):
            log.warning("note: %s", note)
        self._said |= notes.keys()


def training_seconds(row: Row) -> float:
    """Those of an epoch's training steps."""
    return row["images"] / row["images_per_second"]


def find_problems(rows: Sequence[Row], data: ImageDataModule) -> dict[str, str]:
    """What the last of the rows shows: kinds of notes and their sentences."""
    notes = {"guessing": guessing_note(rows[-1], data), "overfitting": overfitting_note(rows)}
    return {kind: note for kind, note in notes.items() if note is not None}


def guessing_note(row: Row, data: ImageDataModule) -> str | None:
    """That the network, after its first steps, is no better than always naming the largest class.

    Of images class by class it learns one after the other, so that in training it often seems right.
    """
    split: Split = "val" if "val/acc" in row else "train"
    unlearning = not data.shuffle and is_sorted_by_class(labels_of_part(data, "train"))
    looked_at: set[Split] = {split} if unlearning else {split, "train"}
    if row["step"] < (FEW_STEPS if unlearning else FIRST_STEPS):
        return None
    if not all(is_chance(row[f"{each}/acc"], labels_of_part(data, each)) for each in looked_at):
        return None
    advice = "try another optimizer.lr"
    if unlearning:
        advice = "the images are sorted by class: use data.shuffle=true"
    return f"{split} acc {row[f'{split}/acc']:.4f} is at chance level; {advice}"


def is_chance(accuracy: float, labels: torch.Tensor) -> bool:
    """Whether an accuracy on images of these classes, int64 [n], is no better than always naming the largest class."""
    largest = int(torch.bincount(labels).max()) / len(labels)
    return accuracy < 1 and accuracy <= largest + DEVIATIONS * math.sqrt(largest * (1 - largest) / len(labels))


def labels_of_part(data: ImageDataModule, split: Split) -> torch.Tensor:
    """The classes of a part's images, or their combinations of classes, int64 [n], in the order of the set."""
    return label_combinations(data.parts[data.part_of(split)].labels[data.rows[split]])


def is_sorted_by_class(labels: torch.Tensor) -> bool:
    """Whether images of the same class come together, int64 [n]."""
    changes = int((labels[1:] != labels[:-1]).sum())
    return 0 < changes < 2 * len(torch.unique(labels))


def overfitting_note(rows: Sequence[Row]) -> str | None:
    """That validation loss has risen for some epochs in a row in which training loss fell."""
    last = rows[-RISES - 1 :]
    if len(last) <= RISES or not all("val/loss" in row for row in last):
        return None
    steps = list(pairwise(last))
    rises = all(after["val/loss"] > before["val/loss"] for before, after in steps)
    falls = all(after["train/loss"] < before["train/loss"] for before, after in steps)
    if not (rises and falls and last[-1]["val/loss"] > RISEN * last[0]["val/loss"]):
        return None
    return (
        f"val loss has risen for {RISES} epochs while train loss fell, so the network overfits: stop"
        " earlier (callbacks=early_stopping), or try data.augment, weight decay or a smaller network"
    )


def waiting_note(share: float) -> str:
    """That the GPU stood still for a part of the time."""
    return (
        f"the GPU waited for images {share:.0%} of the training time: data.on_device=true keeps them on it if there is"
        " room, and a smaller data.image_size takes less"
    )

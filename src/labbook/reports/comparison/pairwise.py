"""Pairs of runs with predictions for the same test images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations

import numpy as np

from labbook.errors import list_first
from labbook.inference.evaluate.predictions import Predictions


def mcnemar(only_one: int, only_other: int) -> float:
    """The two-sided p of McNemar's exact test, from the numbers of images that only one of two networks has right.

    If both were equally good, each of these images would be a coin flip (McNemar, 1947). p is the probability of a
    split that is at least as uneven. All numbers are whole, so no digit is lost.
    """
    count, fewer = only_one + only_other, min(only_one, only_other)
    ways = accumulate(range(fewer), lambda ways, chosen: ways * (count - chosen) // (chosen + 1), initial=1)
    return min(1.0, 2 * sum(ways) / (1 << count))


def holm(values: Sequence[float]) -> list[float]:
    """Holm-corrected p of several tests: the probability of any false positive at 0.05 is at most 5 %.

    The smallest is multiplied by the number of tests, the next by one less, and so on. None is smaller than the one
    before it (Holm, 1979).
    """
    corrected, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = largest
    return corrected


Labelled = tuple[str, Predictions]  # a run's label and its predictions
MOST_LISTED = 8  # runs in a sentence
LEVEL = 0.05  # p from which chance is a good explanation


@dataclass(frozen=True)
class Pair:
    """Two runs with the same images."""

    one: str
    other: str
    images: int
    only_one: int  # images that only this run has right
    only_other: int
    p: float
    corrected: float  # corrected for the number of pairs
    several_classes: bool = False  # an image may have several classes

    @property
    def better(self) -> str:
        """The significantly better run; empty if there is none."""
        if self.corrected >= LEVEL:
            return ""
        return self.one if self.only_one > self.only_other else self.other

    def sentence(self, pairs: int) -> str:
        """The result in words; `pairs` is the number of pairs."""
        chance = format_p(self.p)
        if pairs > 1:
            chance += f"; with Holm's correction for {pairs} pairs {format_p(self.corrected)}"
        first, second = (self.one, self.only_one), (self.other, self.only_other)
        if self.better == self.other:
            first, second = second, first
        counts = f"{first[1]} are correct only by {first[0]}, {second[1]} only by {second[0]}"
        if self.better:
            return f"{first[0]} is better than {second[0]}: of {self.images:,} images {counts} ({chance})."
        return (
            f"No significant difference between {self.one} and {self.other}: of {self.images:,} images {counts},"
            f" which can be chance ({chance})."
        )


def pairs_of(answers: Sequence[Labelled], best: Labelled | None = None) -> list[Pair]:
    """All pairs of runs tested on the same images; for many runs, only those with the `best` one."""
    found = []
    pairs = combinations(answers, 2) if best is None else ((best, each) for each in answers if each[0] != best[0])
    for (one, first), (other, second) in pairs:
        if same_images(first, second):
            counts = int((first.right & ~second.right).sum()), int((second.right & ~first.right).sum())
            p = mcnemar(*counts)
            found.append(Pair(one, other, len(first.labels), *counts, p, p, first.several_classes))
    corrected = holm([pair.p for pair in found])
    return [replace(pair, corrected=by_all) for pair, by_all in zip(found, corrected, strict=True)]


def group_by_images(answers: Sequence[Labelled]) -> list[list[Labelled]]:
    groups: list[list[Labelled]] = []
    for label, each in answers:
        group = next((group for group in groups if same_images(group[0][1], each)), None)
        if group is None:
            groups.append([(label, each)])
        else:
            group.append((label, each))
    return groups


def incomparable_note(answers: Sequence[Labelled]) -> list[str]:
    groups = group_by_images(answers)
    if len(groups) < 2:
        return []
    said = [
        f"{list_first((label for label, _ in group), MOST_LISTED)} on {len(group[0][1].labels):,}" for group in groups
    ]
    return [
        f"Tested on different images, so their accuracies cannot be compared: {'; '.join(said)} images of their own."
    ]


def same_images(one: Predictions, other: Predictions) -> bool:
    return one.test_set == other.test_set and np.array_equal(one.labels, other.labels)


def format_p(p: float) -> str:
    """Such as p = 0.0123."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"

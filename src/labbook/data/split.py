"""The split of a training set into training and validation, and notes on it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from labbook.data.image_spec import class_counts, label_combinations
from labbook.data.randomness import random_permutation
from labbook.errors import list_first

ValSplit = Literal["random", "last", "stratified"]
TEST_FRACTION = 0.2  # of each class, for a data set without a test set
UNEVEN = 10  # times the smallest class


class Division(NamedTuple):
    """Rows of a training set, each part in the order of the set."""

    train: Tensor  # int64 [n]
    val: Tensor  # int64 [m]

    @classmethod
    def by(cls, held_out: Tensor) -> "Division":
        """From bool [N]."""
        return cls(torch.nonzero(~held_out).flatten(), torch.nonzero(held_out).flatten())


def split_by_count(count: int, fraction: float, val_split: ValSplit, seed: int) -> Division:
    """A `fraction` of all images: the last ones, or a random sample that depends on their number."""
    held_out = round(count * fraction)
    order = random_permutation(count, seed) if val_split == "random" else torch.arange(count)
    return Division(order[: count - held_out].sort().values, order[count - held_out :].sort().values)


def stratified_split(
    labels: Tensor, digests: Sequence[str], fraction: float, seed: int | str, groups: Sequence[str] = ()
) -> Division:
    """A `fraction` of each class (labels int64 [N]) or combination of classes ([N, classes]), drawn by digests.

    Of two or more images of a class, at least one is held out and one used for training. A single image is used for
    training. An image that is added or removed moves at most one other image, of its class, to another part.

    With `groups`, one name per image, whole groups are drawn by their names. If all images of a class are in groups of
    other classes, at least one of these groups is used for training.
    """
    classes = units_by_class(labels, digests, seed, groups)
    chosen = [rows for units in classes for rows in (share(units, fraction) if fraction else ())]
    numbers = label_combinations(labels).tolist()
    trained_on = Counter(numbers)
    trained_on.subtract(numbers[row] for rows in chosen for row in rows)
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for rows in chosen:
        if all(trained_on[numbers[row]] for row in rows):
            held_out[rows] = True
        else:
            trained_on.update(numbers[row] for row in rows)
    return Division.by(held_out)


def share(units: Sequence[list[int]], fraction: float) -> list[list[int]]:
    """The first units (lists of rows) that have a `fraction` of all rows; at least one unit, and never all."""
    total = sum(map(len, units))
    target = min(max(round(fraction * total), 1), total - 1)
    chosen: list[list[int]] = []
    count = 0
    for rows in units:
        if len(chosen) < len(units) - 1 and abs(count + len(rows) - target) < target - count:
            chosen.append(rows)
            count += len(rows)
    return chosen or ([min(units, key=len)] if len(units) > 1 else [])


def fold_split(
    labels: Tensor,
    digests: Sequence[str],
    val_split: ValSplit,
    seed: int,
    fold: int,
    folds: int,
    groups: Sequence[str] = (),
) -> Division:
    """Hold out part `fold` (from 1) of `folds` parts, whole `groups` if there are any; by class if stratified."""
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    if val_split == "stratified":
        units = [rows for units in units_by_class(labels, digests, seed, groups) for rows in units]
        for rows in units[fold - 1 :: folds]:
            held_out[rows] = True
    else:
        order = random_permutation(len(labels), seed) if val_split == "random" else torch.arange(len(labels))
        held_out[order.tensor_split(folds)[fold - 1]] = True
    return Division.by(held_out)


def units_by_class(
    labels: Tensor, digests: Sequence[str], seed: int | str, groups: Sequence[str] = ()
) -> list[list[list[int]]]:
    """The rows of each image or group, by the most frequent class (or combination of classes) of its images.

    Within a class, the order is drawn by digests, or by names of groups.
    """
    units: dict[int | str, list[int]] = defaultdict(list)
    for row in range(len(labels)):
        units[groups[row] if groups else row].append(row)
    keys = {unit: groups[rows[0]] if groups else digests[rows[0]] for unit, rows in units.items()}
    places = {unit: hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest() for unit, key in keys.items()}
    numbers = label_combinations(labels).tolist()
    classes: dict[int, list[list[int]]] = defaultdict(list)
    for unit in sorted(units, key=places.__getitem__):
        rows = units[unit]
        classes[Counter(sorted(numbers[row] for row in rows)).most_common(1)[0][0]].append(rows)
    return [classes[number] for number in sorted(classes)]


def pixel_digests(pixels: Tensor) -> tuple[str, ...]:
    """A digest of each image of uint8 [N, C, H, W]."""
    return tuple(hashlib.blake2b(image.numpy().tobytes(), digest_size=16).hexdigest() for image in pixels)


def split_remarks(
    division: Division, labels: Tensor, names: Sequence[str], fraction: float, val_split: ValSplit
) -> list[str]:
    """Notes on the classes in each part; `labels` of all rows, `fraction` 0 if the data set has its own parts."""
    train, val = (class_counts(labels[rows], len(names)) for rows in division)
    there = train + val
    found = []
    better = ": use data.val_split=stratified" if fraction and val_split != "stratified" else ""
    if untrained := chosen_names(names, (train == 0) & (there > 0)):
        found.append(
            f"no image of {untrained} is used for training, because data.val_split={val_split} selects all for"
            f" validation{better}"
        )
    if len(division.val) and (missing := chosen_names(names, (val == 0) & (there > 0))):
        found.append(f"validation has no image of {missing}{better}")
    asked = fraction * len(labels)
    if val_split == "stratified" and asked and len(division.val) > max(1.5 * asked, asked + 10):
        found.append(
            f"validation has {len(division.val):,} of {len(labels):,} images, more than data.val_fraction={fraction}:"
            " at least one of each class"
        )
    smallest, largest = int(there.argmin()), int(there.argmax())
    if there[largest] >= UNEVEN * there[smallest] > 0:
        found.append(
            f"the classes are uneven, from {int(there[smallest]):,} images ({names[smallest]}) to"
            f" {int(there[largest]):,} ({names[largest]}): accuracy says little about the small ones"
        )
    return found


def chosen_names(names: Sequence[str], chosen: Tensor) -> str:
    """The names of the classes in `chosen`, bool [classes]; empty if there are none."""
    found = [names[place] for place in torch.nonzero(chosen).flatten().tolist()]
    return f"{len(found):,} of {len(names):,} classes ({list_first(found)})" if found else ""

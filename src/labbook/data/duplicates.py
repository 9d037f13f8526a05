"""The same photograph more than once: under two labels, in training and test, or in one class."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from labbook.data.image_cache import Labelled, Photographs
from labbook.errors import printable


class Duplicates(NamedTuple):
    """Lines that each name two files with the same bytes."""

    contradictions: list[str]  # of different labels
    leaks: list[str]  # one in training, one in test
    copies: list[str]  # both in one part, of one label
    seen_in_training: list[str]  # one in the folder for training, one in that for validation
    doubtful: set[str]  # the digests of the contradictions


def find_duplicates(train: Photographs, test: Photographs) -> Duplicates:
    """Compare all with all, by the digests that decoding noted."""
    found = Duplicates([], [], [], [], set())
    seen: dict[str, tuple[int, Labelled]] = {}
    for number, part in enumerate((train, test)):
        for digest, file in zip(part.digests, part.files, strict=True):
            part_of_first, first = seen.setdefault(digest, (number, file))
            if first is file:
                continue
            line = f"{printable(file.path)} and {printable(first.path)}"
            if file.label != first.label:
                found.contradictions.append(line)
                found.doubtful.add(digest)
            elif part_of_first != number:
                found.leaks.append(line)
            elif first.validation != file.validation:
                found.seen_in_training.append(line)
            else:
                found.copies.append(line)
    return found


def list_first_lines(lines: Iterable[str]) -> str:
    """The first of some lines and how many follow."""
    first, *others = lines
    return f"{first}, and {len(others):,} more" if others else first


def image_count(images: Sequence[str]) -> str:
    """Such as `1 image is` or `1,200 images are`."""
    return "1 image is" if len(images) == 1 else f"{len(images):,} images are"

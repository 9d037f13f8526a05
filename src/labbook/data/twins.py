"""The same photograph more than once: under two labels, in training and test, or in one class."""

from collections.abc import Iterable
from typing import NamedTuple

from labbook.data.image_cache import Photographs
from labbook.names import printable


class Twins(NamedTuple):
    """Lines that each name two files with the same bytes."""

    contradictions: list[str]  # of different labels
    leaks: list[str]  # one in training, one in test
    copies: list[str]  # both in one part, of one label
    doubtful: set[str]  # the digests of the contradictions


def twins(train: Photographs, test: Photographs) -> Twins:
    """Compare all with all, by the digests that decoding noted."""
    found = Twins([], [], [], set())
    seen: dict[str, tuple[int, int, object]] = {}
    for number, part in enumerate((train, test)):
        for digest, file in zip(part.digests, part.files, strict=True):
            first = seen.setdefault(digest, (number, file.label, file.path))
            if first[2] is file.path:
                continue
            line = f"{printable(file.path)} and {printable(first[2])}"
            if file.label != first[1]:
                found.contradictions.append(line)
                found.doubtful.add(digest)
            elif first[0] != number:
                found.leaks.append(line)
            else:
                found.copies.append(line)
    return found


def many(lines: Iterable[str]) -> str:
    """The first of some lines and how many follow."""
    first, *others = lines
    return f"{first}, and {len(others):,} more" if others else first

"""What a part of the benchmark's report holds, and a word while it is made."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A table, and how it was measured."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def say(what: str) -> None:
    """Tell what is being timed, where somebody is looking."""
    if sys.stderr.isatty():
        print(f"timing {what} ...", file=sys.stderr)

"""What a part of the benchmark's report holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A table, and how it was measured."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""

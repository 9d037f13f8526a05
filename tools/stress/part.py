"""What a part of the stress test is told, and what it tells."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tools.benchmark.sections import Section


@dataclass(frozen=True)
class Effort:
    """How much is to be done, and how long it may take."""

    quick: bool = False
    seconds: float = 360.0  # of each part, after which it begins nothing new
    seed: int = 0  # draws the moments and the places
    jobs: int = 2  # programs at once

    def over(self) -> Callable[[], bool]:
        """A question that is answered with yes once the seconds, counted from now, are over."""
        end = time.monotonic() + self.seconds
        return lambda: time.monotonic() > end

    def count(self, full: int, quick: int) -> int:
        """The one number or the other."""
        return quick if self.quick else full


@dataclass
class Outcome:
    """The figures of a part, and each promise that was seen broken, with what it takes to see it again."""

    section: Section
    broken: list[str] = field(default_factory=list)


def table(title: str, figures: dict[str, object], note: str) -> Section:
    """A section of one row a figure."""
    return Section(title, ("", "measured"), [(name, str(value)) for name, value in figures.items()], note)


def held(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, by its path in it; not the log, to which a refusal is added."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "train.log")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}

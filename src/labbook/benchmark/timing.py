"""Contestants timed in turns, so that what else the machine does falls on all of them alike."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labbook.benchmark.cases import Case
from labbook.benchmark.contestants import Contestant

LIMIT = "bare loop"  # what the others are held against


@dataclass(frozen=True)
class Timing:
    """The seconds of one contestant at one case, a number for each repetition."""

    contestant: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the repetitions."""
        return statistics.median(self.seconds)


def timed(case: Case, contestants: Mapping[str, Contestant], repetitions: int, precision: str) -> list[Timing]:
    """Each contestant once in every repetition, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(repetitions + 1):
        for name, train in contestants.items():
            took = train(case, precision)
            if repetition > 0:
                seconds[name].append(took)
    return [Timing(name, tuple(each)) for name, each in seconds.items()]


def lines(case: Case, timings: Sequence[Timing]) -> list[tuple[str, ...]]:
    """A row for each contestant: case, contestant, images/s, seconds over those of the bare loop, and their spread."""
    limit = next(timing for timing in timings if timing.contestant == LIMIT)
    rows: list[tuple[str, ...]] = []
    for timing in timings:
        ratios = [own / least for own, least in zip(timing.seconds, limit.seconds, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        pace = f"{case.images / timing.median:,.0f}"
        rows.append((case.name, timing.contestant, pace, f"{statistics.median(ratios):.2f}", spread))
    return rows

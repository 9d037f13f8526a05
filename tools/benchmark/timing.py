"""Contestants timed in turns, so that what else the machine does falls on all of them alike."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labbook.training import hardware
from tools.benchmark.cases import Case
from tools.benchmark.contenders import Contestant
from tools.benchmark.sections import Section, say

LIMIT = "bare loop"  # what the others are held against


@dataclass(frozen=True)
class Timing:
    """The seconds that one contestant takes for a step of one case, a number for each repetition."""

    contestant: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the repetitions."""
        return statistics.median(self.seconds)


def timed(case: Case, contestants: Mapping[str, Contestant], repetitions: int, precision: str) -> list[Timing]:
    """Each contestant once in every repetition, after one that does not count."""
    say(f"{case.name}: {', '.join(contestants)}")
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(repetitions + 1):
        for name, train in contestants.items():
            took = train(case, precision)
            if repetition > 0:
                seconds[name].append(took)
    return [Timing(name, tuple(each)) for name, each in seconds.items()]


def training(cases: Sequence[Case], contestants: Mapping[str, Contestant], repetitions: int, precision: str) -> Section:
    """How fast each contestant trains each case."""
    rows = [row for case in cases for row in lines(case, timed(case, contestants, repetitions, precision))]
    chosen = hardware.choose_device({"precision": precision}, hardware.describe_machine()).precision
    note = (
        f"Medians of {repetitions}; the ratios are of the same repetition, in which all take turns. The first steps do"
        " not count; what ends an epoch (checkpoint, table, TensorBoard) is spread over an epoch of the lab's own"
        f" length; nothing is validated. Ours and the bare loop compute in {chosen}, the notebook in 32 bits, as"
        " it comes."
    )
    return Section("Training", ("case", "way to train", "images/s", "time / bare loop", "from to"), rows, note)


def lines(case: Case, timings: Sequence[Timing]) -> list[tuple[str, ...]]:
    """A row for each contestant: case, contestant, images/s, seconds over those of the bare loop, and their spread."""
    limit = next(timing for timing in timings if timing.contestant == LIMIT)
    rows: list[tuple[str, ...]] = []
    for timing in timings:
        ratios = [own / least for own, least in zip(timing.seconds, limit.seconds, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        pace = f"{case.batch_size / timing.median:,.0f}"
        rows.append((case.name, timing.contestant, pace, f"{statistics.median(ratios):.2f}", spread))
    return rows

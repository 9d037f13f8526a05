"""Contestants timed in turns, so that what else the machine does falls on all of them alike."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.benchmark.cases import Case
from tools.benchmark.contenders import Contestant
from tools.benchmark.plain_loop import Form, fastest, plain
from tools.benchmark.sections import Section, say

LIMIT = "fastest plain loop"  # what the others are held against


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
    """How fast each contestant trains each case, beside the fastest plain loop."""
    rows: list[tuple[str, ...]] = []
    for case in cases:
        form = fastest(case)
        ways: dict[str, Contestant] = {**contestants, LIMIT: lambda case, _: plain(case, form)}  # noqa: B023 - used at once
        rows += lines(case, timed(case, ways, repetitions, precision), form)
    note = (
        f"Medians of {repetitions}. In each repetition, each way trains once, and their ratios are taken. The first"
        " steps do not count; what ends an epoch (checkpoint, table, TensorBoard) is spread over an epoch of the lab's"
        " own length; nothing is validated. The plain loop has the same network and images, Adam, and nothing else. Its"
        " precision, layout, threads, fused and compiled form are those that were fastest in short trials just before."
        " Keras and the template get images that are already normalized."
    )
    return Section("Training", ("case", "way to train", "images/s", "time / plain loop", "from to"), rows, note)


def lines(case: Case, timings: Sequence[Timing], form: Form) -> list[tuple[str, ...]]:
    """A row for each contestant: case, contestant, images/s, seconds over those of the plain loop, and their spread."""
    limit = next(timing for timing in timings if timing.contestant == LIMIT)
    rows: list[tuple[str, ...]] = []
    for timing in timings:
        ratios = [own / least for own, least in zip(timing.seconds, limit.seconds, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        pace = f"{case.batch_size / timing.median:,.0f}"
        name = f"{LIMIT} ({form})" if timing is limit else timing.contestant
        rows.append((case.name, name, pace, f"{statistics.median(ratios):.2f}", spread))
    return rows

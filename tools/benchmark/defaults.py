"""What the program chooses by itself, each against its opposite: the reason why it does."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch

from labbook.training import hardware
from tools.benchmark.cases import Case
from tools.benchmark.contenders import Contestant, bare
from tools.benchmark.sections import Section
from tools.benchmark.timing import timed

CHOSEN = "as chosen"


def others(precision: str) -> dict[str, Contestant]:
    """The bare loop with one choice made the other way, by what is done otherwise."""
    machine = hardware.describe_machine()
    chosen = hardware.choose_device({"precision": precision}, machine)
    on_cpu = chosen.accelerator == "cpu"
    other = "32" if chosen.precision == "bf16-mixed" else "bf16-mixed"
    ways: dict[str, Contestant] = {
        CHOSEN: bare,
        "bf16" if other == "bf16-mixed" else "32 bits": lambda case, _: bare(case, other),
        "channels first": partial(bare, channels_last=False),
        "not fused": partial(bare, fused=False),
        "one thread": alone,
        "compiled": partial(bare, compiled=True),
    }
    if on_cpu and other == "bf16-mixed" and not machine.cpu_bf16:
        del ways["bf16"]  # takes forty times as long
    if not on_cpu:
        del ways["one thread"]
    return ways


def alone(case: Case, precision: str) -> float:
    """The bare loop with one of the threads."""
    with threads(1):
        return bare(case, precision)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within this, torch computes with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def section(cases: Sequence[Case], repetitions: int, precision: str) -> Section:
    """A row for each case: the time of a step done otherwise, over that of one as chosen."""
    rows, ways = [], others(precision)
    for case in cases:
        chosen, *rest = timed(case, ways, repetitions, precision)
        ratios = [
            statistics.median(own / least for own, least in zip(other.seconds, chosen.seconds, strict=True))
            for other in rest
        ]
        rows.append((case.name, f"{1000 * chosen.median:.2f}", *(f"{ratio:.2f}" for ratio in ratios)))
    note = (
        "Of the bare loop: milliseconds of a step as this program chooses, and the time of one done otherwise over it;"
        f" medians of {repetitions}. Above 1 the choice pays. Compiling itself is not counted."
    )
    return Section("Choices", ("case", "ms", *list(ways)[1:]), rows, note)

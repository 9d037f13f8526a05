"""How much memory training takes beyond the libraries and the images."""

from collections.abc import Sequence
from functools import partial

from tools.benchmark import processes
from tools.benchmark.cases import BASE, CASES, Case, scratch
from tools.benchmark.processes import IMPORTS, TRAIN, mebibytes
from tools.benchmark.sections import Section

COLUMNS = ("memory", "peak", "imports alone", "images", "beyond both")
NOTE = (
    "Medians of {} whole runs of one epoch in fresh processes, after one that does not count: the most resident memory"
    " at once, as the system counts it. What is beyond imports and images is network, optimizer, activations and all"
    " that a run records."
)
LABEL = 8  # bytes
PARTS = 7 / 6  # a synthetic set has a sixth of its training images to test


def section(repetitions: int, cases: Sequence[Case] = CASES) -> Section:
    """The peak of a run of each case; a case of large networks takes as long as it trains."""
    rows: list[tuple[str, ...]] = []
    with scratch() as folder:
        for case in cases:
            tasks = {
                "imports": partial(processes.measured, *IMPORTS, cwd=folder),
                "run": partial(processes.measured, TRAIN, *BASE, *case.settings, "epochs=1", cwd=folder),
            }
            costs = processes.in_turns(tasks, repetitions)
            imports, peak = (processes.median(costs[name], "peak") for name in ("imports", "run"))
            images = data_bytes(case)
            rows.append((case.name, *map(mebibytes, (peak, imports, images, peak - imports - images))))
    return Section("Memory", COLUMNS, rows, NOTE.format(repetitions))


def data_bytes(case: Case) -> int:
    """What the images of a case and their labels take in memory, training and test set together."""
    data = case.composed().data
    image = int(data.channels * data.image_size**2)
    return round(PARTS * case.images * (image + LABEL))

"""How long it takes to be told something: from the start of a process to its first step, its help, its refusal."""

from collections.abc import Callable
from functools import partial
from statistics import median

from tools.benchmark import processes
from tools.benchmark.cases import scratch
from tools.benchmark.processes import EVALUATE, IMPORTS, TRAIN, Cost
from tools.benchmark.sections import Section

LIMIT = "import torch, pytorch_lightning"
COLUMNS = ("start-up", "seconds", "CPU seconds", "CPU seconds beyond the imports")
NOTE = (
    "Medians of {} fresh processes each, started in turns after one that does not count; whole processes, but for the"
    " first step, which counts up to where it is over (torch tells). The network is LeNet-5, on the embedded digits."
)


def section(repetitions: int) -> Section:
    """The start of every program, beside what the imports that none can avoid take."""
    with scratch() as folder:
        run = processes.measured(TRAIN, "epochs=1", cwd=folder).folder
        train = partial(processes.measured, TRAIN, cwd=folder)
        tasks: dict[str, Callable[[], Cost]] = {
            LIMIT: partial(processes.measured, *IMPORTS, cwd=folder),
            "train.py to its first step": partial(processes.to_first_step, TRAIN, "epochs=1", cwd=folder),
            "train.py --help": partial(train, "--help"),
            "train.py with a misspelt setting": partial(train, "optimizer.lrr=0.1", code=2),
            "evaluate.py, whole": partial(processes.measured, EVALUATE, str(run), cwd=folder),
        }
        costs = processes.in_turns(tasks, repetitions)
    return Section("Start-up", COLUMNS, rows(costs), NOTE.format(repetitions))


def rows(costs: dict[str, list[Cost]]) -> list[tuple[str, ...]]:
    """A row for each task: its seconds and CPU seconds, and the latter less those of the imports beside it."""
    found: list[tuple[str, ...]] = []
    for name, each in costs.items():
        seconds, cpu = processes.median(each, "seconds"), processes.median(each, "cpu")
        beyond = median(own.cpu - least.cpu for own, least in zip(each, costs[LIMIT], strict=True))
        found.append((name, f"{seconds:.2f}", f"{cpu:.2f}", f"{beyond:+.2f}"))
    return found

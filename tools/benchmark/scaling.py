"""What grows with the data and with the runs of a sweep: time and memory, which should not grow faster."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from labbook.runs.run_folder import read_metrics
from tools.benchmark import processes
from tools.benchmark.cases import BASE, Case, case, scratch
from tools.benchmark.memory import data_bytes
from tools.benchmark.processes import TRAIN, Cost, mebibytes
from tools.benchmark.sections import Section

STEPS = 200  # of an epoch, of the smallest set
TIMES = (1, 4, 16)
RUNS = (1, 2, 4, 8, 16)
DATA_COLUMNS = ("images", "µs an image", "beside the least", "peak", "images' own", "peak less images")
DATA_NOTE = (
    "Medians of {} runs of one epoch (LeNet-5, batch 64, 28 x 28, without validation) in fresh processes, after one"
    " that does not count; the time is that of the training steps, as the runs recorded it."
)
TINY = ("model=mlp", "model.width=16", "epochs=1", "data.limit=100")
SWEEP_COLUMNS = ("runs", "seconds", "seconds for each further run", "peak", "more than at first")
SWEEP_NOTE = (
    "Medians of {} sweeps of so many seeds in one fresh process each, after one that does not count: an MLP on the"
    " first 100 embedded digits, one epoch; one run alone is no sweep and has no table to write."
)


def of_size(images: int, batch_size: int = 64, size: int = 28) -> Case:
    """LeNet-5 on so many images, which must fill their batches."""
    steps = images // batch_size
    return case(f"{images:,}", "lenet5", batch_size, size, 1, steps - 1, steps)


def with_data(repetitions: int, cases: Sequence[Case] | None = None) -> Section:
    """Time and memory with more and more images; the first case is what the others are held against."""
    chosen = cases or [of_size(64 * STEPS * times) for times in TIMES]
    with scratch() as folder:
        tasks = {
            each.name: partial(processes.measured, TRAIN, *BASE, *each.settings, "epochs=1", cwd=folder)
            for each in chosen
        }
        costs = processes.in_turns(tasks, repetitions)
        micros = {name: median(micros_an_image(folder / cost.folder) for cost in each) for name, each in costs.items()}
    rows: list[tuple[str, ...]] = []
    for each in chosen:
        own, least = micros[each.name], micros[chosen[0].name]
        peak, images = processes.median(costs[each.name], "peak"), data_bytes(each)
        rows.append((each.name, f"{own:.1f}", f"{own / least:.2f}", *map(mebibytes, (peak, images, peak - images))))
    return Section("Growth with the data", DATA_COLUMNS, rows, DATA_NOTE.format(repetitions))


def micros_an_image(run: Path) -> float:
    """Microseconds of the training steps over their images."""
    return 1e6 / float(read_metrics(run)["images_per_second"])


def with_runs(repetitions: int, counts: Sequence[int] = RUNS) -> Section:
    """Time and memory of sweeps with more and more runs in one process, beside one of `counts[0]` runs."""
    costs = processes.in_turns({str(count): partial(swept, count) for count in counts}, repetitions)
    first = costs[str(counts[0])]
    rows: list[tuple[str, ...]] = []
    for count in counts:
        each = costs[str(count)]
        more = [own.seconds - alone.seconds for own, alone in zip(each, first, strict=True)]
        a_run = f"{median(more) / (count - counts[0]):.2f}" if count > counts[0] else ""
        peak, beside = processes.median(each, "peak"), processes.median(first, "peak")
        rows.append(
            (str(count), f"{processes.median(each, 'seconds'):.1f}", a_run, mebibytes(peak), mebibytes(peak - beside))
        )
    return Section("Growth with the runs of a sweep", SWEEP_COLUMNS, rows, SWEEP_NOTE.format(repetitions))


def swept(runs: int) -> Cost:
    """What a sweep over so many seeds takes; one alone is a plain run."""
    several = ("-m", f"seeds={runs}") if runs > 1 else ()
    with scratch() as folder:
        return processes.measured(TRAIN, *several, *TINY, cwd=folder)

"""Every operation on files that a run does, made to fail: nothing is lost, nothing half done is taken for whole."""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from labbook.errors import TrainingError
from labbook.runs.run_folder import read_metrics
from tools.stress import bit_equality, fault_injection, forkserver, processes
from tools.stress.forkserver import Fault
from tools.stress.part import Effort, Outcome, table

TINY = (*processes.ALIKE, "model=mlp", "model.width=4", "data.limit=48", "data.batch_size=16", "data.image_size=8")
EPOCHS = 3
STEPS = 3  # an epoch: 44 images are left to train on
BEFORE = 1  # epochs that the run has behind it which is gone on with
RARELY = 8  # as two thirds of all operations add a few bytes to the events
NOTE = (
    "Two runs: one of {} epochs, and one resumed after epoch 1. They have {} and {} file operations (open, write, flush"
    " to disk, rename, ...). In each trial one operation fails, or the process is killed there (crash). Then the run is"
    " resumed. Errors: disk full (ENOSPC) once or permanently, read/write error (EIO), no permission (EACCES), a write"
    " that stops half-way. {} of {} pairs of operation and error were chosen at random. TensorBoard's event files have"
    " most of the operations, so these are chosen less often."
)


LOST, HALF, TRACES = "checkpoints lost", "incomplete files accepted as complete", "tracebacks on the terminal"
SILENT, UNEQUAL = "exits without an error message or exit code", "different results after resume="
PROMISES = (LOST, HALF, TRACES, SILENT, UNEQUAL)


@dataclass(frozen=True)
class Scene:
    """A run that is new, or one that is gone on with: what is in the folder, what is said, and how it ends."""

    name: str
    arguments: tuple[str, ...]
    before: Path | None  # a folder with logs/ to begin from
    steps: int  # that were saved before
    operations: list[str]
    end: Path  # the run when nothing fails

    def at(self, fault: Fault) -> str:
        """The operation that is to fail."""
        return self.operations[fault.at]


@dataclass
class Tally:
    """What the trials came to."""

    faults: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    restarted: int = 0
    broken: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in PROMISES})


def part(effort: Effort) -> Outcome:
    """Faults at operations drawn at random, until all were tried or the time is over."""
    over, draw = effort.over(), random.Random(effort.seed)
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        scenes = list(prepared(Path(folder)))
        trials = [
            (scene, Fault(at, kind))
            for scene in scenes
            for at, operation in enumerate(scene.operations)
            for kind in fault_injection.possible(operation)
        ]
        pairs = len(trials)
        trials.sort(key=lambda trial: draw.random() * (RARELY if "events" in trial[0].at(trial[1]) else 1))
        trials = trials[: effort.count(len(trials), 12)]

        def attempt(number: int) -> None:
            if not over():
                scene, fault = trials[number]
                place = Path(folder) / f"trial-{number}"
                tried(scene, fault, place, tally)
                shutil.rmtree(place)

        with ThreadPoolExecutor(effort.jobs) as pool:
            list(pool.map(attempt, range(len(trials))))
        counts = [len(scene.operations) for scene in scenes]
    note = NOTE.format(EPOCHS, *counts, tally.faults.total(), pairs)
    figures: dict[str, object] = {f"errors: {kind}": tally.faults[kind] for kind in fault_injection.KINDS}
    figures |= {
        "the run finished in spite of the error": tally.resumed,
        "started again, because there was no checkpoint yet": tally.restarted,
    }
    figures |= {name: len(found) for name, found in tally.broken.items()}
    broken = [f"{name}: {each}" for name, found in tally.broken.items() for each in found]
    return Outcome(table("Faults of files", figures, note), broken)


def prepared(folder: Path) -> Iterator[Scene]:
    """Both scenes, played without a fault."""
    new = folder / "new"
    operations = played(new, *TINY, f"epochs={EPOCHS}")
    end = processes.run_in(new)
    assert end is not None
    yield Scene("new", (*TINY, f"epochs={EPOCHS}"), None, 0, operations, end)
    before, on = folder / "before", folder / "on"
    played(before, *TINY, f"epochs={BEFORE}")
    run = processes.run_in(before)
    assert run is not None
    shutil.copytree(before / "logs", on / "logs")
    again = (f"resume={run.relative_to(before)}", f"epochs={EPOCHS}")
    operations = played(on, *again)
    yield Scene("resumed", again, before, BEFORE * STEPS, operations, on / run.relative_to(before))


def played(place: Path, *arguments: str) -> list[str]:
    """The operations of a program to which nothing happens.

    Raises:
        TrainingError: it does not end well.
    """
    place.mkdir(exist_ok=True)
    ended, operations = forkserver.run(*arguments, cwd=place, watched=place / "logs")
    if ended.code != 0:
        raise TrainingError(f"a run without any fault ended with {ended.code}: {ended.err.strip()}")
    return operations


def tried(scene: Scene, fault: Fault, place: Path, tally: Tally) -> None:
    """One trial: the fault, what is left of the run, and its end after `resume=`."""
    place.mkdir()
    if scene.before is not None:
        shutil.copytree(scene.before / "logs", place / "logs")
    ended, operations = forkserver.run(*scene.arguments, cwd=place, watched=place / "logs", fault=fault)
    if fault.at >= len(operations):  # the thread that writes events comes to its turn at times of its own
        return
    tally.faults[fault.kind] += 1
    where = f"{scene.name}, {fault.kind} at operation {fault.at}, {operations[fault.at]}"
    run = processes.run_in(place)
    tally.resumed += ended.code == 0
    for promise, found in judged(ended, fault, run, scene.steps + STEPS * saved(operations, fault)).items():
        tally.broken[promise] += [f"{where}: {each}" for each in found]
    if run is None:
        tally.restarted += 1
        return
    ends = finished(run, place)
    ends = ends or "; ".join(bit_equality.differences(scene.end, run)[:5])
    if ends:
        tally.broken[UNEQUAL].append(f"{where}: {ends}")


def saved(operations: list[str], fault: Fault) -> int:
    """How many times last.ckpt was put in its place before the fault."""
    return sum(line == "rename last.ckpt" for line in operations[: fault.at])


def judged(ended: processes.Ended, fault: Fault, run: Path | None, steps: int) -> dict[str, list[str]]:
    """What of the promises was not kept at the moment of the fault."""
    found: dict[str, list[str]] = {name: [] for name in PROMISES}
    if processes.TRACEBACK in ended.out + ended.err:
        found[TRACES].append(ended.err.strip().splitlines()[-1])
    elif fault.kind != fault_injection.CRASH and not (ended.code == 0 or (ended.code in (1, 2) and ended.sentence)):
        found[SILENT].append(f"exit code {ended.code}, {ended.err.strip()!r}")
    elif fault.kind == fault_injection.CRASH and ended.code not in (0, fault_injection.CRASHED):
        found[SILENT].append(f"exit code {ended.code} after a crash")
    if run is not None:
        found[HALF] += bit_equality.halves(run)
        if steps and (there := bit_equality.newest_step(run)) < steps:
            found[LOST].append(f"step {steps} was saved, and step {there} is there")
    return found


def finished(run: Path, place: Path) -> str:
    """Go on with a run that is not finished; what went wrong with that."""
    if read_metrics(run).get("status") == "finished" and read_metrics(run).get("epochs") == EPOCHS:
        return ""
    ended, _ = forkserver.run(f"resume={run.relative_to(place)}", f"epochs={EPOCHS}", cwd=place, watched=place / "logs")
    return "" if ended.code == 0 else f"resume= ended with {ended.code}: {ended.err.strip()[-300:]}"

"""Runs that get `kill -9` at random moments, over and over, and are gone on with."""

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from labbook.errors import TrainingError
from labbook.runs.run_folder import read_metrics
from tools.stress import bit_equality, processes
from tools.stress.part import Effort, Outcome, table

COMMON = (*processes.ALIKE, "data=digits", "checkpoint.every_minutes=0.001")  # 60 ms: many in every epoch

# What each run is made of, and how many epochs take a few seconds; together every optimizer and every schedule.
RUNS: tuple[tuple[str, int], ...] = (
    ("model=lenet5 optimizer=adam scheduler=none", 4),
    ("model=mlp optimizer=adamw scheduler=step model.dropout=0.3 data.drop_last=true callbacks=swa", 8),
    ("model=mlp model.depth=3 optimizer=sgd scheduler=cosine trainer.accumulate_grad_batches=2 data.augment=[]", 8),
    ("model=convnet model.channels=[8,16] optimizer=sgd_momentum scheduler=onecycle data.augment=[flip,{crop:2}]", 4),
    ("model=deep_convnet model.channels=[4,8] model.hidden=16 optimizer=rmsprop scheduler=triangular", 4),
    ("model=lenet5 optimizer=keras_adam scheduler=cosine scheduler.warmup_epochs=1 callbacks=lookahead", 4),
    ("model=convnet model.channels=[8,8] optimizer=keras_rmsprop scheduler=step data.augment=[{reflect_crop:3}]", 4),
    ("model=mlp optimizer=sgd_momentum scheduler=none callbacks=[early_stopping,gradient_norms]", 8),
    ("model=lenet5 optimizer=sgd scheduler=plateau scheduler.patience=0 task.label_smoothing=0.1", 4),
    (
        "model=mlp optimizer=adam scheduler=triangular callbacks=ema task.sam=0.05 task.mixup=0.2"
        " data.augment=[alternating_flip] data.val_fraction=0",
        8,
    ),
)
# The moments that are aimed at, and how often each is: the wait may end in any other, too.
MOMENTS = {"starting": 2, "training": 4, "saving": 3, "testing": 1}
TRAINS = "device: "  # what a run says before it trains
POLL = 0.002  # seconds
NOTE = (
    "{} runs with different settings on the data set digits. Together they use all optimizers and schedules,"
    " augmentation, dropout, early stopping, lookahead, EMA, SAM and mixup (32 bits, one CPU thread). Each run was"
    " killed up to {} times: while starting, training, saving or testing. Then it was resumed with `resume=`. After"
    " each kill, every checkpoint was opened and its checksum verified. At the end, weights, optimizer, schedule,"
    " random state, tables, metrics and logged steps were compared with those of the same run without kills. A"
    " setting that finished early was trained again, so there are more results than settings."
)


@dataclass
class Tally:
    """What the kills came to."""

    moments: Counter[str] = field(default_factory=Counter)  # at which the program was killed
    resumed: int = 0
    restarted: int = 0  # there was no run to resume yet
    ended: int = 0
    unreadable: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Alone:
    """A run that was left alone."""

    settings: tuple[str, ...]
    epochs: int
    run: Path
    starting: float  # seconds until it trained
    training: float  # seconds until its test

    @property
    def last_epoch(self) -> str:
        """What a run says when only its test is left."""
        return f"epoch {self.epochs}/{self.epochs}"


def part(effort: Effort) -> Outcome:
    """All runs, a few at once, each with its own draw."""
    over, kills = effort.over(), effort.count(10, 2)
    runs = RUNS[: effort.count(len(RUNS), 2)]

    def one(number: int) -> Tally:
        with tempfile.TemporaryDirectory() as folder:
            settings, epochs = runs[number]
            return struck(settings, epochs, Path(folder), kills, random.Random(effort.seed * 1000 + number), over)

    with ThreadPoolExecutor(effort.jobs) as pool:
        tallies = list(pool.map(one, range(len(runs))))
    unequal = [each for tally in tallies for each in tally.unequal]
    unreadable = [each for tally in tallies for each in tally.unreadable]
    refused = [each for tally in tallies for each in tally.refused]
    moments = sum((tally.moments for tally in tallies), Counter[str]())
    ended = sum(tally.ended for tally in tallies)
    figures = {
        "kills": f"{moments.total()} ({', '.join(f'{name} {count}' for name, count in sorted(moments.items()))})",
        "resumed": sum(tally.resumed for tally in tallies),
        "killed before the run folder existed, started again": sum(tally.restarted for tally in tallies),
        "could not be resumed": len(refused),
        "unreadable checkpoints": len(unreadable),
        "identical results": f"{ended - len(unequal)} of {ended}",
    }
    return Outcome(
        table("Kills", figures, NOTE.format(sum(tally.ended > 0 for tally in tallies), kills)),
        [*unreadable, *refused, *unequal],
    )


def struck(text: str, epochs: int, folder: Path, kills: int, draw: random.Random, over: Callable[[], bool]) -> Tally:
    """A run killed so many times; where it comes to its end before, another one like it."""
    if over():
        return Tally()
    settings = (*COMMON, *text.split(), f"epochs={epochs}")
    alone, tally = left_alone(settings, epochs, folder / "alone"), Tally()
    while tally.moments.total() < kills and not over():
        place = folder / f"round-{tally.ended}"
        place.mkdir()
        run = to_its_end(alone, place, kills, draw, tally, over)
        tally.ended += 1
        if run is None:
            tally.unequal.append(f"{text}: no end")
        elif found := bit_equality.differences(alone.run, run):
            tally.unequal.append(f"{text}: {'; '.join(found[:5])}")
        shutil.rmtree(place)
    return tally


def left_alone(settings: tuple[str, ...], epochs: int, folder: Path) -> Alone:
    """The run that the others are held against.

    Raises:
        TrainingError: it does not end well.
    """
    folder.mkdir()
    began = time.monotonic()
    process = processes.start(*settings, cwd=folder)
    trains = wait_for(TRAINS, process, folder)
    tests = wait_for(f"epoch {epochs}/{epochs}", process, folder)
    process.wait()
    run = processes.run_in(folder)
    if process.returncode or run is None:
        raise TrainingError(f"a run left alone ended with {process.returncode}: {processes.said(folder)[-500:]}")
    return Alone(settings, epochs, run, trains - began, tests - trains)


def to_its_end(
    alone: Alone, place: Path, kills: int, draw: random.Random, tally: Tally, over: Callable[[], bool]
) -> Path | None:
    """One run from its beginning to its end, killed on the way until there were enough kills."""
    begun = 0
    while True:
        run = processes.run_in(place)
        if run is not None and read_metrics(run).get("status") == "finished":
            return run
        tally.resumed += run is not None
        tally.restarted += run is None and begun > 0
        begun += 1
        process = begin(alone, run, place)
        if not (over() or tally.moments.total() >= kills):
            aim = draw.choices(list(MOMENTS), list(MOMENTS.values()))[0]
            wait_until(aim, alone, process, place, draw)
            if process.poll() is None:
                tally.moments[stage(alone, place)] += 1
                processes.kill(process)
                tally.unreadable += [f"{' '.join(alone.settings)}: {name}" for name in unreadable_in(place)]
                continue
        if process.wait(600) != 0:
            tally.refused.append(f"{' '.join(alone.settings)}: {processes.said(place)[-300:]}")
            return processes.run_in(place)


def begin(alone: Alone, run: Path | None, place: Path) -> Popen[bytes]:
    """Start a run, or go on with it."""
    (place / processes.SAID).unlink(missing_ok=True)
    if run is not None:
        return processes.start(f"resume={run.relative_to(place)}", cwd=place)
    shutil.rmtree(place / "logs", ignore_errors=True)  # perhaps a folder in which nothing is yet
    return processes.start(*alone.settings, cwd=place)


def unreadable_in(place: Path) -> list[str]:
    """The damaged checkpoints of the one run under a folder, if it is there yet."""
    run = processes.run_in(place)
    return bit_equality.unreadable(run) if run is not None else []


def wait_until(aim: str, alone: Alone, process: Popen[bytes], place: Path, draw: random.Random) -> None:
    """Wait for a random moment of a kind, or for the program's end."""
    if aim == "starting":
        pause(draw.uniform(0, alone.starting), process)
    elif aim == "testing":
        wait_for(alone.last_epoch, process, place)
        pause(draw.uniform(0, 0.3), process)
    else:
        wait_for(TRAINS, process, place)
        pause(draw.uniform(0, alone.training / 4), process)
        while aim == "saving" and process.poll() is None and not saves(place):
            time.sleep(POLL / 10)


def pause(seconds: float, process: Popen[bytes]) -> None:
    """Wait for so long, or for the program's end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(POLL)


def wait_for(text: str, process: Popen[bytes], place: Path) -> float:
    """When the program said something, or ended."""
    while process.poll() is None and text not in processes.said(place):
        time.sleep(POLL)
    return time.monotonic()


def saves(place: Path) -> bool:
    """Whether a checkpoint is being written: there is a file whose name begins with a dot."""
    return any(place.glob("logs/runs/*/checkpoints/.*"))


def stage(alone: Alone, place: Path) -> str:
    """How far a program has come, as what it said and wrote tells it."""
    text = processes.said(place)
    if alone.last_epoch in text:
        return "testing"
    return "starting" if TRAINS not in text else "saving" if saves(place) else "training"

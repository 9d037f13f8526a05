"""A sweep of which a third of the runs cannot end well, killed over and over."""

import random
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from labbook.errors import TrainingError
from labbook.runs.run_folder import LOG, METRICS, read_metrics
from tools.stress import processes
from tools.stress.part import Effort, Outcome, table

NAME = "stressed"
COMMON = (
    *(
        "-m",
        *processes.ALIKE,
        "model=mlp",
        "model.activation=[relu]",
        "data.limit=64",
        "data.batch_size=16",
        "data.image_size=8",
    ),
    *("optimizer=sgd", "epochs=1", "callbacks=none", "logger=none", f"sweep.name={NAME}"),
)
# Seven of eight rates are learned with, and four of five networks: seven tenths of all runs can end well.
DIVERGES, UNBUILT = "1e30", "[8,8]"  # one activation for two layers is refused when the network is built
RATES = ("0.01", "0.02", "0.03", "0.05", "0.07", "0.1", "0.2", DIVERGES)
LAYERS = ("[4]", "[6]", "[8]", "[10]", UNBUILT)
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
MOST_COMMANDS = 4  # after the last kill, until the command finds nothing to do
NOTE = (
    "An MLP on 64 images of digits, for one epoch. 8 learning rates (one gives a loss of NaN), 5 networks (one cannot"
    " be built) and {} seeds. The command was killed (`kill -9`) at random moments and repeated until no run was"
    " left.{}"
)


@dataclass
class Tally:
    """What became of a sweep."""

    kills: int = 0
    commands: int = 0
    done: dict[str, bytes] = field(default_factory=dict)  # metrics.json of each run when it was first seen finished
    again: set[str] = field(default_factory=set)  # finished runs that were run once more
    traces: list[str] = field(default_factory=list)  # last lines of tracebacks on the terminal


def part(effort: Effort) -> Outcome:
    """One sweep, killed until half of the time is over or there were enough kills."""
    seeds, kills = effort.count(5, 1), effort.count(10, 2)
    arguments = (
        *COMMON,
        f"optimizer.lr={','.join(RATES)}",
        f"model.hidden={','.join(LAYERS)}",
        f"seeds={seeds}",
    )
    joblib = bool(find_spec("hydra_plugins") and find_spec("hydra_plugins.hydra_joblib_launcher"))
    draw, began, tally = random.Random(effort.seed), time.monotonic(), Tally()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sweep = place / "logs" / "sweeps" / NAME
        while tally.kills < kills and time.monotonic() - began < effort.seconds / 2:
            launcher = JOBLIB if joblib and tally.commands % 2 else ()
            if not killed((*arguments, *launcher), place, draw, tally):
                break
            look(sweep, tally)
        code = repeated(arguments, place, tally, lambda: look(sweep, tally))
        states = {name: read_metrics(sweep / name).get("status") for name in folders(sweep)}
        twice = tally.again | {name for name in states if tested(sweep / name) > 1}
    return told(states, twice, seeds, tally, joblib, time.monotonic() - began, code)


def told(
    states: dict[str, str | None], twice: set[str], seeds: int, tally: Tally, joblib: bool, seconds: float, code: int
) -> Outcome:
    """The figures, and what is not as promised."""
    runs = seeds * len(RATES) * len(LAYERS)
    able = seeds * (len(RATES) - 1) * (len(LAYERS) - 1)
    finished = {name for name, status in states.items() if status == "finished"}
    failed = {name for name, status in states.items() if status == "failed"}
    figures: dict[str, object] = {
        "runs": runs,
        "failed": f"{len(failed)} (expected: {runs - able})",
        "kills": f"{tally.kills} in {tally.commands} commands",
        "finished": f"{len(finished)} of {able}",
        "finished runs that were repeated": len(twice),
        "tracebacks on the terminal": len(tally.traces),
        "seconds": f"{seconds:.0f}",
    }
    broken = [f"{name} was run twice" for name in sorted(twice)] + [f"a traceback: {line}" for line in tally.traces]
    if (len(finished), len(failed), len(states)) != (able, runs - able, runs):
        broken.append(
            f"of {runs} runs {len(finished)} finished and {len(failed)} failed: {able} and {runs - able} were to"
        )
    if code != 1:
        broken.append(f"the last command ended with {code} and not with 1, although runs had failed")
    also = " Every second command trained two runs at once with joblib." if joblib else ""
    return Outcome(table("A sweep with failures and kills", figures, NOTE.format(seeds, also)), broken)


def killed(arguments: tuple[str, ...], place: Path, draw: random.Random, tally: Tally) -> bool:
    """Start the sweep and kill it a few runs later, at times while it starts; False if it ended by itself before."""
    (place / processes.SAID).unlink(missing_ok=True)
    process = processes.start(*arguments, cwd=place)
    tally.commands += 1
    before = set(tally.done)
    wanted = draw.choice([0, 1, 5, 20, 30])
    end = time.monotonic() + draw.uniform(0, 8) if wanted == 0 else float("inf")
    sweep = place / "logs" / "sweeps" / NAME
    while process.poll() is None and time.monotonic() < end:
        if wanted and len(begun(sweep) - before) >= wanted:
            time.sleep(draw.uniform(0, 0.5))
            break
        time.sleep(0.02)
    if process.poll() is not None:
        tally.traces += traces(place)
        return False
    processes.kill(process)
    tally.kills += 1
    return True


def repeated(arguments: tuple[str, ...], place: Path, tally: Tally, look_after: Callable[[], None]) -> int:
    """Give the command until all runs that can have finished; its last exit code.

    Raises:
        TrainingError: it never comes to that.
    """
    for _ in range(MOST_COMMANDS):
        (place / processes.SAID).unlink(missing_ok=True)
        before = len(tally.done)
        code = processes.run(*arguments, cwd=place)
        tally.commands += 1
        tally.traces += traces(place)
        look_after()
        if len(tally.done) == before and tally.done:
            return code
    raise TrainingError(f"the sweep still finds runs to finish: {processes.said(place)[-500:]}")


def traces(place: Path) -> list[str]:
    """What the last command ended with, if it showed a traceback."""
    text = processes.said(place)
    return [text.strip().splitlines()[-1]] if processes.TRACEBACK in text else []


def folders(sweep: Path) -> list[str]:
    """The runs that are there."""
    return sorted(path.parent.name for path in sweep.glob(f"[!.]*/{METRICS}"))


def begun(sweep: Path) -> set[str]:
    """The runs that have said something."""
    return {path.parent.name for path in sweep.glob(f"[!.]*/{LOG}")}


def look(sweep: Path, tally: Tally) -> None:
    """Remember the figures of runs that are done; one whose figures changed since was run again."""
    for name in folders(sweep):
        content = (sweep / name / METRICS).read_bytes()
        if tally.done.get(name, content) != content:
            tally.again.add(name)
        if read_metrics(sweep / name).get("status") == "finished":
            tally.done.setdefault(name, content)


def tested(run: Path) -> int:
    """How often a run came to its end, as its log tells."""
    return len(re.findall(r"INFO test loss", (run / LOG).read_text(encoding="utf-8", errors="replace")))

"""One long run, watched from outside: memory, open files and threads stay as they are."""

import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from labbook.errors import SettingError, TrainingError
from labbook.runs.run_folder import TABLE
from tools.benchmark.processes import mebibytes
from tools.stress import leaks, processes
from tools.stress.part import Effort, Outcome, table

SETTINGS = (*processes.ALIKE, "model=lenet5", "data=digits")
WARM = 10  # epochs, after which nothing more is to grow
LIMIT = 0.02  # of the memory of then
POLL = 0.02  # seconds
NOTE = (
    "LeNet-5 on digits with default settings, {} epochs, measured after every epoch. Growth: the median of the last ten"
    " epochs compared with that of epochs 10 to 19."
)


@dataclass(frozen=True)
class Look:
    """A process at the end of an epoch."""

    epoch: int
    resident: int  # bytes
    files: int
    threads: int


def part(effort: Effort) -> Outcome:
    """A run of 200 epochs, ended early if its time is over."""
    if not Path("/proc/self/status").exists():
        raise SettingError("the part memory reads /proc, which this system does not have")
    epochs, over = effort.count(200, 40), effort.over()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        process = processes.start(*SETTINGS, f"epochs={epochs}", cwd=place, program=(leaks.__file__,))
        looks = watched(process, place)
        if over():
            print(f"memory: took longer than {effort.seconds:.0f} s")
        if process.returncode:
            raise TrainingError(f"the long run ended with {process.returncode}: {processes.said(place)[-500:]}")
        left = json.loads((place / leaks.LEFT).read_text(encoding="utf-8"))
    return told(looks, left, epochs)


def told(looks: list[Look], left: dict[str, list[str]], epochs: int) -> Outcome:
    """The figures of a run from what was seen of it."""
    steady = [look for look in looks if look.epoch >= WARM]
    early, late = steady[:WARM], steady[-WARM:]
    first, last = (statistics.median(look.resident for look in each) for each in (early, late))
    growth = last / first - 1
    files, threads = ({getattr(look, name) for look in steady} for name in ("files", "threads"))
    figures: dict[str, object] = {
        "epochs": epochs,
        f"resident memory from epoch {WARM} on": mebibytes(first),
        "growth": f"{growth:+.1%}",
        f"open files from epoch {WARM} on": span(files),
        f"threads from epoch {WARM} on": span(threads),
        "open files left by the run": len(left["files"]),
        "threads left by the run": len(left["threads"]),
    }
    broken = [f"{kind} left by the run: {', '.join(names)}" for kind, names in left.items() if names]
    if growth > LIMIT:
        broken.append(f"memory grew by {growth:.1%}, from {mebibytes(first)} to {mebibytes(last)}")
    if late and max(look.files for look in late) > max(look.files for look in early):
        broken.append(f"open files grew: {span(files)}")
    return Outcome(table("A long run", figures, NOTE.format(epochs)), broken)


def span(counts: set[int]) -> str:
    """The least and the most of some counts."""
    return f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def watched(process: Popen[bytes], place: Path) -> list[Look]:
    """A look at every epoch that the process has recorded, until it ends."""
    looks: list[Look] = []
    while process.poll() is None:
        time.sleep(POLL)
        epochs = recorded(place)
        if epochs > (looks[-1].epoch if looks else 0):
            try:
                looks.append(look(process.pid, epochs))
            except (FileNotFoundError, ProcessLookupError, KeyError):  # it is just ending
                break
    process.wait()
    return looks


def recorded(place: Path) -> int:
    """How many epochs the one run under a folder has in its table."""
    tables = list((place / "logs" / "runs").glob(f"*/{TABLE}"))
    return len(tables[0].read_text(encoding="utf-8").splitlines()) - 1 if tables else 0


def look(pid: int, epoch: int) -> Look:
    """What the system says of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines())
    resident = int(status["VmRSS"].split()[0]) * 1024
    return Look(epoch, resident, len(list(Path(f"/proc/{pid}/fd").iterdir())), int(status["Threads"]))

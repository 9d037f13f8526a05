"""`python train.py` in a process of its own, which can be killed at any moment."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from labbook.runs.run_folder import CONFIG
from labbook.runs.run_session import FOLDER_VARIABLE
from tools.benchmark.processes import TRAIN

ALIKE = ("trainer=cpu", "trainer.precision=32")  # what gives the same bits each time
SAID = "said.txt"  # beside logs/: what the programs of a folder printed, one after the other
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str | None:
        """The one line of a refusal or failure on the error stream; None where it said something else there."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return lines[0].removeprefix("error: ") if len(lines) == 1 and TRACEBACK not in self.out + self.err else None


def start(*arguments: str, cwd: Path, program: tuple[str, ...] = (TRAIN,)) -> subprocess.Popen[bytes]:
    """`python train.py ARGUMENTS` in the folder `cwd`, with one thread; both its streams go to the end of `SAID`."""
    kept = {name: value for name, value in os.environ.items() if name != FOLDER_VARIABLE}
    with (cwd / SAID).open("ab") as said:
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=cwd,
            env=kept | {"OMP_NUM_THREADS": "1"},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def run(*arguments: str, cwd: Path, seconds: float = 600) -> int:
    """The exit code of the same, at its end.

    Raises:
        subprocess.TimeoutExpired: it took longer; it is killed then.
    """
    process = start(*arguments, cwd=cwd)
    try:
        return process.wait(seconds)
    except BaseException:
        kill(process)
        raise


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started, without a warning."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def said(cwd: Path) -> str:
    """What the programs of a folder printed."""
    return (cwd / SAID).read_text(encoding="utf-8", errors="replace")


def run_in(cwd: Path) -> Path | None:
    """The one run folder under `cwd`/logs; None where there is none with a configuration to go on from."""
    folders = [path.parent for path in (cwd / "logs" / "runs").glob(f"*/{CONFIG}")]
    assert len(folders) < 2, folders
    return folders[0] if folders else None

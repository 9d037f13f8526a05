"""The program in a process that has its imports behind it, so that many short runs cost little more than themselves."""

import multiprocessing
import os
import sys
from dataclasses import dataclass
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

from labbook.errors import SettingError
from labbook.runs.run_session import FOLDER_VARIABLE
from tools.benchmark.processes import ROOT
from tools.stress import fault_injection
from tools.stress.processes import Ended

PATIENCE = 120.0  # seconds that a tiny run may take


@dataclass(frozen=True)
class Fault:
    """An operation of a program that is to fail: which, and how."""

    at: int
    kind: str


@cache
def server() -> ForkServerContext:
    """What starts processes that have imported the program already.

    Raises:
        SettingError: this system cannot.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        raise SettingError("the parts faults and memory need a system with fork, such as Linux or macOS")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["labbook.inference.evaluate.final_test", "labbook.experiment", "tools.stress.forkserver"]
    )
    return context


def run(*arguments: str, cwd: Path, watched: Path, fault: Fault | None = None) -> tuple[Ended, list[str]]:
    """How `python train.py ARGUMENTS` ends in `cwd` if a fault comes, and the operations it did below `watched`."""
    process = server().Process(target=program, args=(arguments, cwd, watched, fault))
    process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
    out, err, operations = (read(cwd / name) for name in ("out.txt", "err.txt", "operations.txt"))
    assert process.exitcode is not None
    return Ended(process.exitcode, out, err), operations.splitlines()


def read(path: Path) -> str:
    """What a file holds; nothing where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def program(arguments: tuple[str, ...], cwd: Path, watched: Path, fault: Fault | None) -> None:
    """The process: streams to files, then the program as the command line starts it."""
    os.chdir(cwd)
    os.environ.pop(FOLDER_VARIABLE, None)
    for number, name in ((1, "out.txt"), (2, "err.txt")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.path.insert(0, str(ROOT))
    sys.argv = [str(ROOT / "train.py"), *arguments]
    operations = Path("operations.txt").open("w", buffering=1, encoding="utf-8")  # noqa: SIM115 - for as long as it runs

    def note(line: str) -> None:
        print(line, file=operations)

    import train
    from labbook.cli import command_line

    at, kind = (fault.at, fault.kind) if fault else (None, fault_injection.CRASH)
    with fault_injection.failing(watched, at, kind, note):
        command_line.run_command_line(train.main)

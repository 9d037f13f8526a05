"""What whole processes take: seconds, CPU seconds and memory."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labbook.errors import TrainingError
from labbook.installation import CONFIGS
from labbook.runs.run_session import FOLDER_VARIABLE
from tools.benchmark import first_step, measured_child

ROOT = CONFIGS.parent
TRAIN, EVALUATE = str(ROOT / "train.py"), str(ROOT / "scripts" / "evaluate.py")
IMPORTS = ("-c", "import torch, pytorch_lightning")  # what a program of this kind cannot do without


@dataclass(frozen=True)
class Cost:
    """What a process took, together with those that it started and waited for."""

    seconds: float
    cpu: float  # seconds, of the program and of the system in its service
    peak: int  # bytes of resident memory, of the largest of the processes
    out: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the run or the sweep that the last line of the output names."""
        return Path(self.out.rstrip().splitlines()[-1].partition(": ")[2])


def measured(*arguments: str, cwd: Path, code: int = 0) -> Cost:
    """What `python ARGUMENTS` takes in the folder `cwd`.

    Raises:
        TrainingError: it ended with another exit code than `code`.
    """
    took = watched(arguments, cwd)
    if took["code"] != code:
        raise TrainingError(f"python {' '.join(arguments)} ended with {took['code']}: {took['err'].strip()}")
    return Cost(took["seconds"], took["cpu"], took["peak"], took["out"])


def to_first_step(*arguments: str, cwd: Path) -> Cost:
    """What `python ARGUMENTS` takes until its first optimizer step is over, where it is ended.

    Raises:
        TrainingError: it made none.
    """
    took = watched((first_step.__file__, *arguments), cwd)
    marks = [line.split() for line in took["out"].splitlines() if line.startswith(first_step.MARK)]
    if not marks:
        raise TrainingError(f"python {' '.join(arguments)} made no step: {took['err'].strip()}")
    *_, moment, cpu = marks[0]
    return Cost(float(moment) - took["began"], float(cpu), took["peak"], took["out"])


def watched(arguments: Sequence[str], cwd: Path) -> dict[str, Any]:
    """What `child` tells of `python ARGUMENTS`."""
    environment = {name: value for name, value in os.environ.items() if name != FOLDER_VARIABLE}
    command = [sys.executable, "-S", measured_child.__file__, sys.executable, *arguments]
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True)
    took: dict[str, Any] = json.loads(ended.stdout)
    return took


def in_turns(tasks: Mapping[str, Callable[[], Cost]], repetitions: int) -> dict[str, list[Cost]]:
    """Each task once in every repetition, after one that does not count."""
    costs: dict[str, list[Cost]] = {name: [] for name in tasks}
    for repetition in range(repetitions + 1):
        for name, task in tasks.items():
            cost = task()
            if repetition > 0:
                costs[name].append(cost)
    return costs


def median(costs: Sequence[Cost], figure: str) -> float:
    """The middle of one figure."""
    return float(statistics.median(getattr(cost, figure) for cost in costs))


def mebibytes(count: float) -> str:
    """Bytes in words."""
    return f"{count / 2**20:,.0f} MiB"

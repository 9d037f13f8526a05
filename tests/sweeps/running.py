"""How tests start sweeps, here and in interpreters of their own, and what they read of them."""

import csv
import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ended

ROOT = Path(__file__).parents[2]
PLAIN = ("model=mlp", "data.limit=100", "callbacks=none", "logger=none", "trainer.precision=32")
TINY = ("-m", *PLAIN, "epochs=1")
WIDTHS = "model.width=4,8"
LONGER = ("-m", *PLAIN, "epochs=3")  # enough to be interrupted in the middle

Figures = dict[str, dict[str, Any]]  # of the runs of a sweep, by name

# What two runs that computed the same agree on, beside the figures of train/, val/ and test/.
COMPUTED = {"status", "seed", "epochs", "tested_epoch", "objective", "parameters", "precision", "class_names"}


def needs(extra: str) -> pytest.MarkDecorator:
    """Skips a test where an extra is not installed."""
    plugin = f"hydra_plugins.hydra_{extra}_{'sweeper' if extra == 'optuna' else 'launcher'}"
    missing = find_spec("hydra_plugins") is None or find_spec(plugin) is None
    return pytest.mark.skipif(missing, reason=f"needs the extra: make setup EXTRAS={extra}")


def folder_of(ended: Ended) -> Path:
    """The sweep that the last line names."""
    last = ended.out.rstrip().splitlines()[-1]
    assert last.startswith("sweep: "), ended.out + ended.err
    return Path(last.removeprefix("sweep: "))


def done(ended: Ended) -> Path:
    """The folder of a sweep that ended well."""
    assert ended.code == 0, ended.out + ended.err
    return folder_of(ended)


def metrics_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return content


def runs_of(sweep: Path) -> Figures:
    """metrics.json of all runs, by name."""
    return {path.parent.name: metrics_of(path.parent) for path in sorted(sweep.glob("[!.]*/metrics.json"))}


def figures_of(sweep: Path) -> Figures:
    """What all runs computed, to the bit."""
    return {
        name: {key: value for key, value in metrics.items() if "/" in key or key in COMPUTED}
        for name, metrics in runs_of(sweep).items()
    }


def begun(out: str) -> int:
    """How many runs trained from their beginning."""
    return sum(line.rpartition("] ")[2].startswith("epoch 1/") for line in out.splitlines())


def summary_of(sweep: Path) -> list[dict[str, str]]:
    """summary.csv without what depends on the time."""
    with (sweep / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


def environment(**variables: str) -> dict[str, str]:
    """What an interpreter of its own is to see."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LABBOOK_", "PYTEST_", "SLURM_"))}
    return kept | {"OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "0"} | variables


def start(*arguments: str, cwd: Path, code: str | None = None, **variables: str) -> subprocess.Popen[str]:
    """`python train.py ARGUMENTS`, or a program given as text that gets them, in an interpreter of its own."""
    program = [str(ROOT / "train.py")] if code is None else ["-c", code]
    found = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=cwd, env=environment(PYTHONPATH=found) | variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def run(*arguments: str, cwd: Path, code: str | None = None, **variables: str) -> Ended:
    """The same, to its end."""
    process = start(*arguments, cwd=cwd, code=code, **variables)
    try:
        out, err = process.communicate(timeout=180)
    except BaseException:
        kill(process)
        raise
    return Ended(process.returncode, out, err)


def kill(process: subprocess.Popen[str]) -> None:
    """End a program and all that it started, without a warning."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


DIES = """
import os, signal, sys
import train
from labbook.cli import command_line as cli
from labbook.callbacks import checkpoints as saving

calls, at = 0, int(sys.argv.pop(1))
original = saving.RunCheckpoints.save_epoch

def dying(self, *arguments):
    global calls
    original(self, *arguments)
    calls += 1
    if calls == at:
        os.kill(os.getpid(), signal.SIGKILL)

saving.RunCheckpoints.save_epoch = dying
sys.argv[0] = "train.py"
cli.run_command_line(train.main)
"""


def killed(*arguments: str, cwd: Path, epoch: int) -> None:
    """A sweep that gets `kill -9` when an epoch, counted over all runs, has been saved."""
    ended = run(str(epoch), *arguments, cwd=cwd, code=DIES)
    assert ended.code == -signal.SIGKILL, ended.out + ended.err

"""Two at work on one sweep: each run is done by one of them, and a claim dies with its holder."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from labbook.runs import locks
from labbook.runs.sweep_folder import SweepFolder
from labbook.sweeps import resuming_launcher
from tests.conftest import Command
from tests.sweeps.running import LONGER, TINY, begun, done, figures_of, kill, runs_of, start

HOLDS = """
import sys, time
from pathlib import Path
from labbook.runs import locks as claims

with claims.run_lock(Path(sys.argv[1]), sys.argv[2]) as mine:
    print(mine, flush=True)
    time.sleep(600)
"""
Hold = Callable[[Path, str], subprocess.Popen[str]]


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    """Has another process hold a claim."""
    processes = []

    def hold(sweep: Path, name: str) -> subprocess.Popen[str]:
        process = start(str(sweep), name, cwd=tmp_path, code=HOLDS)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        return process

    yield hold
    for process in processes:
        if process.poll() is None:
            kill(process)


def test_a_claim_is_held_by_one_process_and_dies_with_it(tmp_path: Path, hold: Hold) -> None:
    process = hold(tmp_path, "run")
    with locks.run_lock(tmp_path, "run") as mine, locks.run_lock(tmp_path, "other") as others:
        assert (mine, others) == (False, True)
    who = locks.lock_owner(tmp_path, "run")
    assert who is not None
    assert who.startswith(f"process {process.pid} on {socket.gethostname()} since 20")
    assert locks.held_locks(tmp_path) == {"run": who}
    kill(process)
    assert locks.lock_owner(tmp_path, "run") is None
    assert locks.held_locks(tmp_path) == {}
    with locks.run_lock(tmp_path, "run") as mine:
        assert mine


def test_a_claim_is_held_once_in_one_process_too(tmp_path: Path) -> None:
    with locks.run_lock(tmp_path, "run") as mine:
        with locks.run_lock(tmp_path, "run") as again:
            assert (mine, again) == (True, False)
        who = locks.lock_owner(tmp_path, "run")
        assert who is not None
        assert f"process {os.getpid()} " in who
    assert locks.lock_owner(tmp_path, "run") is None


def test_a_claim_is_given_back_when_its_work_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locks.run_lock(tmp_path, "run"):
        raise KeyError
    assert locks.held_locks(tmp_path) == {}


def test_asking_who_holds_a_claim_makes_no_folder(tmp_path: Path) -> None:
    assert locks.lock_owner(tmp_path / "sweep", "run") is None
    assert locks.held_locks(tmp_path / "sweep") == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("note", ["", "[]", "{", '{"process": 1}'])
def test_a_holder_without_a_name_is_somebody(tmp_path: Path, note: str) -> None:
    with locks.run_lock(tmp_path, "run"):
        (tmp_path / locks.CLAIMS / "run.json").write_text(note)
        assert locks.lock_owner(tmp_path, "run") == "another process"


def test_a_run_counts_as_running_while_it_is_held(tmp_path: Path, hold: Hold) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").write_text('{"status": "running"}')
    assert SweepFolder(tmp_path).state("run")[0] == "interrupted"
    process = hold(tmp_path, "run")
    assert SweepFolder(tmp_path).state("run")[0] == "running"
    kill(process)
    assert SweepFolder(tmp_path).state("run")[0] == "interrupted"


@pytest.mark.slow
def test_a_sweep_waits_for_what_somebody_else_does(
    labbook: Command, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = done(labbook(*TINY, "model.width=4,8"))
    before = figures_of(sweep)
    name = next(iter(before))
    (sweep / name / "metrics.json").unlink()
    process = hold(sweep, name)
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            kill(process)  # its holder dies without having done it

    monkeypatch.setattr(resuming_launcher, "time", SimpleNamespace(sleep=sleep))
    ended = labbook(*TINY, "model.width=4,8,16")
    assert done(ended) == sweep
    assert slept == [resuming_launcher.POLL] * 3
    lines = ended.out.splitlines()
    (waiting,) = [line for line in lines if line.startswith("waiting for ")]
    assert waiting.startswith(f"waiting for {name}, done by process {process.pid} on ")
    assert lines.index(waiting) > next(number for number, line in enumerate(lines) if "width-16" in line)
    assert before.items() <= figures_of(sweep).items()
    assert len(runs_of(sweep)) == 3


@pytest.mark.slow
def test_a_second_terminal_shares_the_work(labbook: Command, tmp_path: Path) -> None:
    settings = (*LONGER, "model.width=4,6,8,10", "data.limit=300", "epochs=6")
    sweep = tmp_path / "logs" / "sweeps" / "shared"
    other, until = start(*settings, "sweep.name=shared", cwd=tmp_path), time.monotonic() + 120
    while not locks.held_locks(sweep):
        assert other.poll() is None, other.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    mine = labbook(*settings, "sweep.name=shared")
    out, err = other.communicate(timeout=180)
    assert other.returncode == 0, err
    done(mine)
    runs = runs_of(sweep)
    assert {metrics["status"] for metrics in runs.values()} == {"finished"}
    assert begun(out) + begun(mine.out) == len(runs) == 4
    assert not any("resumed" in metrics for metrics in runs.values())
    assert "4 runs: 4 finished" in out
    assert "4 runs: 4 finished" in mine.out
    assert locks.held_locks(sweep) == {}
    assert figures_of(sweep) == figures_of(done(labbook(*settings, "log_dir=alone")))

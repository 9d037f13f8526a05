"""The launchers of others compute what the basic one does, and share the machine."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.sweeps.running import TINY, done, figures_of, folder_of, metrics_of, needs, run, runs_of, start

WIDTHS = "model.width=4,6,8,10"


@pytest.mark.parametrize(
    ("launcher", "settings"),
    [
        pytest.param("joblib", ["hydra.launcher.n_jobs=2"], marks=[needs("joblib"), pytest.mark.slow]),
        pytest.param("ray", ["hydra.launcher.ray.init.num_cpus=2"], marks=[needs("ray"), pytest.mark.slow]),
        pytest.param("submitit_local", ["hydra.sweeper.max_batch_size=2"], marks=[needs("submitit"), pytest.mark.slow]),
    ],
)
def test_a_launcher_computes_what_the_basic_one_does(
    labbook: Command, tmp_path: Path, launcher: str, settings: list[str]
) -> None:
    plain = done(labbook(*TINY, WIDTHS, "log_dir=plain"))
    ended = run(*TINY, WIDTHS, f"hydra/launcher={launcher}", *settings, cwd=tmp_path)
    sweep = done(ended)
    assert sweep.name == plain.name
    assert figures_of(sweep) == figures_of(plain)
    assert "this command: 4 finished" in ended.out
    assert "4 runs: 4 finished" in ended.out
    assert "Traceback" not in ended.out + ended.err
    if launcher == "submitit_local":
        assert "each run writes to train.log in its own folder" in ended.out
    else:
        assert {f"[{number}/4] run: {sweep / name}" for number, name in enumerate(in_order(sweep), 1)} <= {
            line[line.find("[") :] if "[" in line else line for line in map(uncoloured, ended.out.splitlines())
        }
    again = labbook(*TINY, WIDTHS, f"hydra/launcher={launcher}", *settings)
    assert done(again) == sweep
    assert "of 4 runs: 4 finished already" in again.out


@needs("joblib")
def test_joblib_may_do_without_other_processes(labbook: Command) -> None:
    widths, joblib = "model.width=4,6", ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1")
    ended = labbook(*TINY, widths, *joblib)
    sweep = done(ended)
    assert figures_of(sweep) == figures_of(done(labbook(*TINY, widths, "log_dir=plain")))
    assert "this command: 2 finished" in ended.out
    assert [line for line in ended.out.splitlines() if "] run: " in line] == [
        f"[{number}/2] run: {sweep / name}" for number, name in enumerate(in_order(sweep), 1)
    ]
    assert "of 2 runs: 2 finished already" in labbook(*TINY, widths, *joblib).out


def in_order(sweep: Path) -> list[str]:
    return sorted(runs_of(sweep), key=lambda name: int(name.split("-")[1]))


def uncoloured(line: str) -> str:
    """A line without the process that Ray puts in front of it."""
    return line.rpartition("\x1b[0m ")[2]


@needs("joblib")
@pytest.mark.slow
def test_a_failure_in_another_process_costs_one_run(tmp_path: Path) -> None:
    widths = "optimizer=sgd", "optimizer.lr=0.1,1e38", "data.batch_size=30"
    ended = run(*TINY, *widths, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", cwd=tmp_path)
    assert ended.code == 1
    sweep = tmp_path / folder_of(ended)
    assert sorted(metrics["status"] for metrics in runs_of(sweep).values()) == ["failed", "finished"]
    first, last = ended.err.strip().splitlines()
    assert first.startswith("[2/2] failed: ")
    assert last == "error: 1 of 2 runs failed: use the same command to try again"


@needs("joblib")
@pytest.mark.slow
def test_a_killed_process_costs_its_runs_no_more_than_an_epoch(labbook: Command, tmp_path: Path) -> None:
    settings = (*TINY, "epochs=60", "data.limit=300", WIDTHS, "sweep.name=mine")
    process = start(*settings, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", cwd=tmp_path)
    sweep, until = tmp_path / "logs/sweeps/mine", time.monotonic() + 120
    while not (tables := [path for path in sweep.glob("*/metrics.csv") if path.read_text().count("\n") > 2]):
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    claim = sweep / ".claims" / f"{tables[0].parent.name.rpartition('-')[2]}.json"
    os.kill(json.loads(claim.read_text())["process"], signal.SIGKILL)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, out + err
    assert "resuming from epoch" in out
    assert "4 runs: 4 finished" in out
    assert metrics_of(tables[0].parent)["resumed"] == 1
    assert figures_of(sweep) == figures_of(done(labbook(*settings, "log_dir=plain")))


THREADS = """
import sys
import hydra
from labbook.cli import command_line as cli
from labbook.installation import CONFIGS
from labbook.runs import run_session as runs

@hydra.main(config_path=str(CONFIGS), config_name="train", execution_whitelist=cli.allowed_targets())
@cli.run_task
def main(config):
    import torch
    with runs.open_run(config) as run:
        run.folder.record({"threads": torch.get_num_threads(), "objective": 0.0}, "finished")
    return 0.0

sys.argv[0] = "train.py"
cli.run_command_line(main)
"""


@needs("joblib")
@pytest.mark.slow
@pytest.mark.parametrize("asked", [None, 2])
def test_processes_of_joblib_share_the_cores(tmp_path: Path, asked: int | None) -> None:
    joblib = pytest.importorskip("joblib")
    settings = ["hydra.launcher.n_jobs=2", *([f"hydra.launcher.inner_max_num_threads={asked}"] if asked else [])]
    ended = run(*TINY, "seed=1,2", "hydra/launcher=joblib", *settings, cwd=tmp_path, code=THREADS, OMP_NUM_THREADS="")
    cores = joblib.cpu_count()
    threads = max(1, cores // 2) if asked is None else min(asked, cores)
    sweep = tmp_path / done(ended)
    assert [metrics["threads"] for metrics in runs_of(sweep).values()] == [threads] * 2

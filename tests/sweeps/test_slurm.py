"""Sweeps on a cluster: what Slurm is told, and a run that is ended by it and put into the queue again."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
import yaml

from labbook.installation import CONFIGS
from labbook.signals import StopSignals, forward_to_submitit, is_handled_by_submitit
from tests.conftest import Command
from tests.sweeps.running import LONGER, TINY, done, figures_of, kill, needs, runs_of, start
from tests.sweeps.slurm import install, options_of

SLURM = "hydra/launcher=submitit_slurm"


@needs("submitit")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], {}),
        (
            ["hydra.launcher.timeout_min=30", "hydra.launcher.signal_delay_s=60", "hydra.launcher.array_parallelism=2",
             "hydra.launcher.gpus_per_node=2", "hydra.launcher.partition=gpu"],
            {"time": "30", "signal": "USR2@60", "array": "0-2%2", "gpus-per-node": "2", "partition": "gpu"},
        ),
    ],
)  # fmt: skip
def test_slurm_is_told_what_the_file_says(
    labbook: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], expected: dict[str, str]
) -> None:
    monkeypatch.setenv("PATH", install(tmp_path, refuses=True))
    ended = labbook(*TINY, "model.width=4,8,16", SLURM, *settings)
    told = options_of(tmp_path / "notes" / "submission.sh")
    file = yaml.safe_load((CONFIGS / "hydra" / "launcher" / "submitit_slurm.yaml").read_text())
    assert told.items() >= ({
        "time": str(file["timeout_min"]), "signal": f"USR2@{file['signal_delay_s']}",
        "array": f"0-2%{min(3, file['array_parallelism'])}", "gpus-per-node": str(file["gpus_per_node"]),
        "cpus-per-task": str(file["cpus_per_task"]), "mem": f"{file['mem_gb']}GB", "nodes": str(file["nodes"]),
        "ntasks-per-node": str(file["tasks_per_node"]),
        "job-name": "epochs-1_model-mlp_limit-100_precision-32_by_width",
    } | expected).items()  # fmt: skip
    assert ended.code == 1
    said, error = ended.err.strip().splitlines()
    assert said in error  # what sbatch printed by itself
    assert error.startswith("error: ")


@needs("submitit")
@pytest.mark.slow
def test_a_run_that_slurm_ends_is_put_into_the_queue_again_and_goes_on(labbook: Command, tmp_path: Path) -> None:
    long = (*LONGER[:-1], "epochs=150", "data.limit=300", "model.width=4,8")
    path = install(tmp_path)
    process = start(*long, SLURM, cwd=tmp_path, PATH=path)
    try:
        until = time.monotonic() + 120
        while not list(tmp_path.glob("logs/sweeps/*/*/metrics.csv")):
            assert time.monotonic() < until, "nothing was begun"
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.kill(int((tmp_path / "notes" / "pid").read_text()), signal.SIGUSR2)
        out, err = process.communicate(timeout=300)
    finally:
        if process.poll() is None:
            kill(process)
    assert process.returncode == 0, out + err
    assert (tmp_path / "notes" / "requeued").read_text() == "requeue 77_0\n"
    (sweep,) = (tmp_path / "logs" / "sweeps").iterdir()
    assert [metrics.get("resumed", 0) for metrics in runs_of(sweep).values()].count(1) == 1
    assert "each run writes to train.log in its own folder" in out
    assert "2 runs: 2 finished" in out
    assert figures_of(sweep) == figures_of(done(labbook(*long, "log_dir=plain")))


class Handler:
    """A signal handler, of submitit or not."""

    def __init__(self) -> None:
        self.called: list[int] = []

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.called.append(signum)


class OfSubmitit(Handler):
    """Says of itself that it is submitit's."""


OfSubmitit.__module__ = "submitit.core.job_environment"


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    before = {item: signal.getsignal(item) for item in (signal.SIGTERM, signal.SIGUSR2)}
    yield
    for item, handler in before.items():
        signal.signal(item, handler)


def test_a_signal_is_handed_on_to_submitit_alone() -> None:
    theirs, other = OfSubmitit(), Handler()
    signal.signal(signal.SIGUSR2, theirs)
    signal.signal(signal.SIGTERM, other)
    assert is_handled_by_submitit(signal.SIGUSR2)
    assert not is_handled_by_submitit(signal.SIGTERM)
    forward_to_submitit(signal.SIGUSR2)
    forward_to_submitit(signal.SIGTERM)
    assert (theirs.called, other.called) == ([signal.SIGUSR2], [])


def test_submitit_s_handlers_come_back_after_a_run_and_its_sigterm_is_let_pass() -> None:
    theirs = OfSubmitit()
    for item in (signal.SIGUSR2, signal.SIGTERM):
        signal.signal(item, theirs)
    with StopSignals() as signals, signals.deferred():
        signal.raise_signal(signal.SIGTERM)
        assert signals.received is None
        signal.raise_signal(signal.SIGUSR2)
        assert signals.received == signal.SIGUSR2
    assert theirs.called == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGUSR2) is theirs


def test_the_state_is_saved_before_submitit_hears_of_it(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.runs.test_resume import signal_at

    found = []

    class Looking(OfSubmitit):
        def __call__(self, signum: int, frame: FrameType | None) -> None:
            found.append([path.name for path in Path("logs").rglob("last.ckpt")])
            found.append([metrics["status"] for folder in Path("logs/sweeps").iterdir()
                          for metrics in runs_of(folder).values()])  # fmt: skip

    Looking.__module__ = OfSubmitit.__module__
    signal.signal(signal.SIGUSR2, Looking())
    signal_at(monkeypatch, "on_train_batch_end", 1, 0, signal.SIGUSR2)
    ended = labbook(*LONGER, "model.width=4,8")
    assert ended.code == 128 + signal.SIGUSR2
    assert found == [["last.ckpt"], ["interrupted"]]

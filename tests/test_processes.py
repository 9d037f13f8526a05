"""What needs interpreters of its own: several processes, signals from outside, start-up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hydra
import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver, _hydra_subprocess_cmd
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from labbook.config.argument_checks import check_reserved_settings
from labbook.errors import SettingError
from labbook.training.lightning_internals import death_among_others, end_other_processes, report_deaths
from tests.conftest import Command
from tests.runs.test_killed import same_in_all
from tests.test_train import metrics_of, rows_of

ROOT = Path(__file__).parents[1]


def start(*arguments: str, cwd: Path, project: Path = ROOT) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LABBOOK_", "PYTEST_"))}
    environment["OMP_NUM_THREADS"] = "1"
    command = [sys.executable, str(project / "train.py"), *arguments]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_two_processes_compute_what_one_does(labbook: Command, tmp_path: Path) -> None:
    settings = (
        "trainer.precision=32",
        "epochs=2",
        "data.augment=[]",
        "callbacks=none",
        "data.limit=333",
        "data.batch_size=50",
        "metrics=full",
    )
    one = labbook(*settings).run
    process = start("trainer=ddp", "trainer.accelerator=cpu", *settings, cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.count("run: ") == 1
    two = tmp_path / out.strip().splitlines()[-1].removeprefix("run: ")
    for mine, theirs in zip(rows_of(one), rows_of(two), strict=True):
        for name in ("train/loss", "train/acc", "val/loss", "val/acc"):
            assert float(mine[name]) == pytest.approx(float(theirs[name]), rel=1e-3, abs=1e-4), name
    assert sum(map(sum, metrics_of(two)["test/confusion_matrix"])) == 333
    confusion = torch.tensor(metrics_of(two)["test/confusion_matrix"]).double()
    recalls = confusion.diagonal() / confusion.sum(1)
    assert metrics_of(two)["test/balanced_acc"] == pytest.approx(recalls.mean().item())  # of each image once
    for name in ("auroc", "average_precision", "calibration_error"):
        assert metrics_of(one)[f"test/{name}"] == pytest.approx(metrics_of(two)[f"test/{name}"], abs=1e-3)
    assert metrics_of(one)["test/acc"] == pytest.approx(metrics_of(two)["test/acc"], abs=0.01)
    assert len(list((tmp_path / "logs" / "runs").iterdir())) == 2


@pytest.mark.slow
def test_control_c_from_outside(tmp_path: Path) -> None:
    process = start("model=mlp", "epochs=100000", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("logs/runs/*/metrics.csv")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == ""
    assert out.strip().splitlines()[-2].startswith("interrupted; to resume: python train.py resume=logs/runs/")
    run = tmp_path / out.strip().splitlines()[-1].removeprefix("run: ")
    assert metrics_of(run)["status"] == "interrupted"
    assert (run / "checkpoints" / "last.ckpt").exists()


def test_what_lightning_adds_for_the_processes_it_starts_is_for_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HydraConfig, "get", lambda: SimpleNamespace(run=SimpleNamespace(dir="x")))
    monkeypatch.setattr(hydra.utils, "get_original_cwd", lambda: "x")
    monkeypatch.setattr(sys, "argv", ["train.py", "epochs=3"])
    command, _ = _hydra_subprocess_cmd(1)
    added = command[command.index("epochs=3") + 1 :]
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(SettingError, match=r"^hydra\.run\.dir is set by the program"):
        check_reserved_settings(added)
    monkeypatch.setenv("LOCAL_RANK", "1")
    check_reserved_settings(added)


def test_where_this_process_ends_early_it_ends_those_beside_it() -> None:
    launcher = _SubprocessScriptLauncher(LightningEnvironment(), num_processes=2, num_nodes=1)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    watched = launcher.procs
    watched.append(other)
    end_other_processes(SimpleNamespace(strategy=SimpleNamespace(launcher=launcher)))  # type: ignore[arg-type]
    assert other.returncode
    assert watched == []  # or Lightning's watcher would kill this process, too


def test_a_process_that_died_is_told_of_with_the_command_to_continue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = _ChildProcessObserver._terminate_all
    launcher = _SubprocessScriptLauncher(LightningEnvironment(), num_processes=3, num_nodes=1)
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(launcher=launcher))
    assert death_among_others(trainer) == ""
    monkeypatch.setattr(os, "_exit", sys.exit)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    dead = subprocess.Popen([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
    launcher.procs = [dead, other]
    assert death_among_others(trainer) == "process 1 of this run was killed by signal 9"
    launcher.procs = [other, dead]
    with report_deaths(trainer, "; to resume: python train.py resume=mine"), pytest.raises(SystemExit, match="1"):
        _ChildProcessObserver(os.getpid(), launcher.procs)._run()
    assert other.wait(10)
    told = "error: process 2 of this run was killed by signal 9; to resume: python train.py resume=mine\n"
    assert capsys.readouterr().err == told
    assert _ChildProcessObserver._terminate_all is usual


@pytest.mark.slow
def test_all_processes_stop_together_and_go_on_to_the_same_bits(labbook: Command, tmp_path: Path) -> None:
    settings = (
        *("trainer=ddp", "trainer.accelerator=cpu", "trainer.precision=32", "model=mlp", "model.dropout=0.3"),
        *("epochs=40", "callbacks=none"),
    )
    whole, cut = (start(*settings, f"log_dir={name}", cwd=tmp_path) for name in ("whole", "cut"))
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("cut/runs/*/metrics.csv")) and time.monotonic() < deadline:
        time.sleep(0.02)
    cut.send_signal(signal.SIGTERM)  # only the first process is told
    _, err = cut.communicate(timeout=60)
    assert cut.returncode == 143, err
    assert err == ""
    (run,) = tmp_path.glob("cut/runs/*")
    assert metrics_of(run)["status"] == "interrupted"
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["epoch"] < 39
    states = content["random"]["cpu"]
    assert len(states) == 2
    assert not torch.equal(*states)  # their dropout drew for other images
    more = start(f"resume={run}", cwd=tmp_path)
    _, err = more.communicate(timeout=120)
    assert more.returncode == 0, err
    whole.communicate(timeout=120)
    (undisturbed,) = tmp_path.glob("whole/runs/*")
    same_in_all(undisturbed, run)
    alone = labbook(f"resume={run}", "epochs=41", "trainer=cpu", "trainer.precision=32")
    assert alone.code == 0, alone.err
    assert "this run was trained by 2 processes and is resumed with 1" in alone.out

"""Where an error came from is said, whatever it is."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import DeviceStatsMonitor
from torch import Tensor

import train
from labbook.callbacks.checkpoints import RunCheckpoints
from labbook.cli import command_line
from labbook.models.mlp import MLP
from labbook.runs import run_session
from tests.config.test_bad_input import QUICK, refused
from tests.conftest import Command
from tests.test_train import metrics_of

TORCHS = (
    "scheduler=none",
    "scheduler._target_=torch.optim.lr_scheduler.OneCycleLR",
    *("~scheduler.warmup_epochs", "~scheduler.interval", "+scheduler.max_lr=0.01"),
)


def failing(nth: int, error: Exception, usual: Callable[..., Any]) -> Callable[..., Any]:
    """A function that raises an error when it is called for the nth time."""
    calls = 0

    def called(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise error
        return usual(*arguments)

    return called


def test_what_a_librarys_object_raises_is_a_sentence_that_names_it(
    labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "pytorch_lightning.callbacks.DeviceStatsMonitor"
    own = (*QUICK, f"+callbacks.stats._target_={target}")

    def on_train_epoch_start(self: Any, *_: Any) -> None:
        once()

    once = failing(1, KeyError("first"), lambda: None)
    monkeypatch.setattr(DeviceStatsMonitor, "setup", lambda *_, **__: None)
    monkeypatch.setattr(DeviceStatsMonitor, "on_train_batch_start", lambda *_, **__: None)
    monkeypatch.setattr(DeviceStatsMonitor, "on_train_batch_end", lambda *_, **__: None)
    monkeypatch.setattr(DeviceStatsMonitor, "on_train_epoch_start", on_train_epoch_start)
    sentence = refused(labbook(*own, "epochs=2"))
    assert sentence == f"callbacks.stats ({target}) failed: KeyError: 'first'"
    once = failing(2, KeyError("second"), lambda: None)
    ended = labbook(*own, "epochs=2")
    assert ended.code == 1
    assert ended.sentence == (
        f"callbacks.stats ({target}) failed: KeyError: 'second'; to resume: python train.py resume={ended.run}"
    )
    assert (metrics_of(ended.run)["status"], metrics_of(ended.run)["reason"]) == ("failed", ended.sentence)
    assert "Traceback" in (ended.run / "train.log").read_text()


def test_a_bug_in_own_code_keeps_its_traceback_and_ends_with_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(run_session.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "argv", ["train.py", *QUICK, "epochs=2"])
    usual = MLP.forward
    once = failing(4, ZeroDivisionError("mine"), usual)

    def forward(self: MLP, images: Tensor) -> Tensor:
        logits: Tensor = once(self, images)
        return logits

    monkeypatch.setattr(MLP, "forward", forward)
    with pytest.raises(ZeroDivisionError) as raised:
        command_line.run_command_line(train.main)
    (run,) = Path("logs/runs").iterdir()
    why = "model (labbook.models.mlp.MLP) failed: ZeroDivisionError: mine"
    assert raised.value.__notes__[-2:] == [f"error: {why}", f"to resume: python train.py resume={run}"]
    assert metrics_of(run)["reason"] == why
    assert f"ZeroDivisionError: mine\nerror: {why}\n" in (run / "train.log").read_text()


def test_a_schedule_of_torch_that_is_too_short_is_refused_and_one_of_a_resumed_run_grows(labbook: Command) -> None:
    sentence = refused(labbook(*QUICK, *TORCHS, "+scheduler.total_steps=1", "epochs=2"))
    assert sentence.startswith("scheduler: OneCycleLR ends after 1 of the training's 2 steps: leave out total_steps")
    run = labbook(*QUICK, *TORCHS, "epochs=1").run
    longer = labbook(f"resume={run}", "epochs=3")
    assert (longer.code, metrics_of(run)["epochs"]) == (0, 3)


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook", "fsdp", "deepspeed"])
def test_strategies_that_do_not_work_are_refused(strategy: str, labbook: Command) -> None:
    sentence = refused(labbook(*QUICK, f"trainer.strategy={strategy}"))
    assert sentence.startswith(f"trainer.strategy={strategy} does not work here; ")
    assert "auto, ddp, " in sentence


def test_tasks_of_slurm_are_not_processes_of_a_run(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    assert labbook(*QUICK, "epochs=1").code == 0
    shutil.rmtree("logs")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    refused(labbook(*QUICK), "srun started this run 4 times: use srun --ntasks=1")


def test_a_deleted_folder_of_checkpoints_is_made_again(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = RunCheckpoints.save_epoch

    def deleting(self: RunCheckpoints, trainer: Any, *rest: Any) -> None:
        if trainer.current_epoch == 1:
            shutil.rmtree(self.folder)
        usual(self, trainer, *rest)

    monkeypatch.setattr(RunCheckpoints, "save_epoch", deleting)
    ended = labbook(*QUICK, "epochs=2")
    assert ended.code == 0, ended.err
    told = (
        f"{ended.run}/checkpoints was deleted during the training: it is created again, and the best epoch is"
        " selected again"
    )
    assert told in ended.out
    assert metrics_of(ended.run)["tested_epoch"] == 2
    best = torch.load(ended.run / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == 1

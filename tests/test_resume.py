"""A run that goes on ends like one that never stopped."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer

from labbook.saving import Checkpoints
from tests.conftest import Command
from tests.test_train import metrics_of, rows_of, same_weights, without_times

Hook = Callable[..., None]


def signal_at(monkeypatch: pytest.MonkeyPatch, hook: str, epoch: int, batch: int, signum: int) -> None:
    """Send this process a signal when the given hook comes to the given place."""
    original: Hook = getattr(Checkpoints, hook)

    def hooked(self: Checkpoints, trainer: Trainer, pl_module: LightningModule, *rest: Any) -> None:
        if trainer.current_epoch == epoch and (not rest or rest[-1] == batch):
            monkeypatch.setattr(Checkpoints, hook, original)
            os.kill(os.getpid(), signum)
        original(self, trainer, pl_module, *rest)

    monkeypatch.setattr(Checkpoints, hook, hooked)


@pytest.mark.parametrize(
    "settings",
    [
        "model=lenet5",
        "model=deep_convnet model.channels=[4,8] model.hidden=16 optimizer=momentum scheduler=onecycle",
        "model=convnet optimizer=rmsprop scheduler=cosine scheduler.warmup_epochs=1 data.augment=[flip,{crop:2}]",
        "model=mlp optimizer=adamw scheduler=step model.dropout=0.3 data.drop_last=true",
        "model=mlp optimizer=sgd scheduler=cosine scheduler.interval=epoch trainer.accumulate_grad_batches=2",
    ],
)
@pytest.mark.parametrize(("hook", "epoch", "batch"), [("on_train_batch_end", 1, 7), ("on_train_epoch_end", 0, 0)])
def test_an_interrupted_run_ends_with_the_same_bits(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, settings: str, hook: str, epoch: int, batch: int
) -> None:
    common = (*settings.split(), "trainer.precision=32", "epochs=3", "callbacks=none", "logger=none")
    whole = labbook(*common).run
    signal_at(monkeypatch, hook, epoch, batch, signal.SIGINT)
    stopped = labbook(*common)
    assert stopped.code == 130
    assert metrics_of(stopped.run)["status"] == "interrupted"
    assert f"to continue: python train.py resume={stopped.run}" in stopped.out
    resumed = labbook(f"resume={stopped.run}")
    assert resumed.code == 0, resumed.err
    assert resumed.run == stopped.run
    assert same_weights(whole, resumed.run)
    assert without_times(whole) == without_times(resumed.run)
    whole_metrics, resumed_metrics = metrics_of(whole), metrics_of(resumed.run)
    for name in ("test/loss", "test/acc", "val/acc", "train/loss", "tested_epoch"):
        assert whole_metrics[name] == resumed_metrics[name]


def test_sigterm_saves_too(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_at(monkeypatch, "on_train_batch_end", 0, 5, signal.SIGTERM)
    stopped = labbook("model=mlp", "trainer.precision=32", "epochs=2")
    assert stopped.code == 143
    content = torch.load(stopped.run / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 6


def test_a_finished_run_trains_on(labbook: Command) -> None:
    settings = ("model=mlp", "trainer.precision=32", "callbacks=none")
    at_once = labbook(*settings, "epochs=4").run
    first = labbook(*settings, "epochs=2").run
    more = labbook(f"resume={first}", "epochs=4")
    assert more.code == 0, more.err
    assert metrics_of(first)["epochs"] == 4
    assert [row["epoch"] for row in rows_of(first)] == ["1", "2", "3", "4"]
    assert same_weights(at_once, first)
    config = (first / "config.yaml").read_text()
    assert "epochs: 4" in config


def test_a_run_interrupted_between_training_and_test_is_only_tested(labbook: Command) -> None:
    run = labbook("model=mlp", "trainer.precision=32", "epochs=2", "callbacks=none").run
    before = metrics_of(run)
    (run / "metrics.json").write_text(json.dumps({"status": "interrupted"}))
    again = labbook(f"resume={run}")
    assert again.code == 0, again.err
    assert metrics_of(run)["test/loss"] == before["test/loss"]


def test_tensorboard_after_resuming_has_each_step_once(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    signal_at(monkeypatch, "on_train_batch_end", 1, 3, signal.SIGINT)
    run = labbook("model=mlp", "trainer.precision=32", "epochs=3").run
    labbook(f"resume={run}")
    steps = [event.step for event in EventAccumulator(str(run)).Reload().Scalars("train/loss")]
    assert steps == sorted(set(steps))
    assert len(steps) == 3


def test_a_folder_can_be_moved_before_it_goes_on(labbook: Command, tmp_path: Path) -> None:
    run = labbook("model=mlp", "trainer.precision=32", "epochs=1").run
    moved = run.rename(tmp_path / "elsewhere")
    more = labbook(f"resume={moved}", "epochs=2")
    assert more.code == 0, more.err
    assert more.run == moved
    assert metrics_of(moved)["epochs"] == 2


def test_a_run_that_stopped_early_is_finished(labbook: Command) -> None:
    stopping = (
        "callbacks=early_stopping",
        "callbacks.early_stopping.patience=1",
        "callbacks.early_stopping.min_delta=0.5",
    )
    run = labbook("model=mlp", "trainer.precision=32", "epochs=30", *stopping).run
    again = labbook(f"resume={run}")
    assert again.code == 2
    assert "has finished its" in again.sentence


def test_another_logger_is_noted(labbook: Command) -> None:
    run = labbook("model=mlp", "trainer.precision=32", "epochs=1").run
    more = labbook(f"resume={run}", "epochs=2", "logger=none")
    assert more.code == 0, more.err
    assert "logger: none" in (run / "config.yaml").read_text()

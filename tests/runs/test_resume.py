"""A resumed run ends with the bits of one that never stopped."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning import LightningModule, Trainer

from labbook.callbacks.epoch_end import EpochEnd
from labbook.installation import CONFIGS
from labbook.runs.resume import add_run_choices
from tests.conftest import Command
from tests.runs.test_killed import same_in_all
from tests.test_train import QUICK, metrics_of, rows_of, same_weights

Hook = Callable[..., None]


def signal_at(monkeypatch: pytest.MonkeyPatch, hook: str, epoch: int, batch: int, *signums: int) -> None:
    """Send this process signals when the given hook comes to the given place."""
    original: Hook = getattr(EpochEnd, hook)

    def hooked(self: EpochEnd, trainer: Trainer, pl_module: LightningModule, *rest: Any) -> None:
        if trainer.current_epoch == epoch and (not rest or rest[-1] == batch):
            monkeypatch.setattr(EpochEnd, hook, original)
            for signum in signums:
                os.kill(os.getpid(), signum)
        original(self, trainer, pl_module, *rest)

    monkeypatch.setattr(EpochEnd, hook, hooked)


@pytest.mark.parametrize(
    ("hook", "epoch", "batch"),
    [
        pytest.param("on_train_batch_end", 1, 7, id="in an epoch"),
        pytest.param("on_validation_batch_end", 1, 1, id="in the validation", marks=pytest.mark.slow),
        pytest.param("on_train_epoch_end", 0, 0, id="at the end of an epoch", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(
            "model=deep_convnet model.channels=[4,8] model.hidden=16 data.augment=[flip,{crop:2}] scheduler=onecycle",
            marks=pytest.mark.slow,
        ),
        "model=mlp optimizer=sgd_momentum scheduler=step model.dropout=0.3 trainer.accumulate_grad_batches=3",
    ],
    ids=["convnet", "accumulating"],
)
def test_an_interrupted_run_ends_with_the_same_bits(
    labbook: Command, trained: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, settings: str, hook: str,
    epoch: int, batch: int,
) -> None:  # fmt: skip
    common = (*settings.split(), "trainer.precision=32", "epochs=2", "data.limit=900", "callbacks=none")
    whole = trained(*common)
    signal_at(monkeypatch, hook, epoch, batch, signal.SIGINT)
    stopped = labbook(*common)
    assert stopped.code == 130
    assert metrics_of(stopped.run)["status"] == "interrupted"
    assert f"to resume: python train.py resume={stopped.run}" in stopped.out
    resumed = labbook(f"resume={stopped.run}")
    assert resumed.code == 0, resumed.err
    assert resumed.run == stopped.run
    same_in_all(whole, resumed.run)


@pytest.mark.parametrize(
    ("settings", "hook", "batch", "steps"),
    [
        pytest.param("", "on_train_batch_end", 5, 6, id="step"),
        # the third step takes batches 6, 7 and 8
        pytest.param("trainer.accumulate_grad_batches=3", "on_train_batch_end", 6, 3, id="accumulated step"),
        # the last one of the epoch: the validation comes next
        pytest.param("", "on_train_batch_end", 12, 13, id="last step", marks=pytest.mark.slow),
        pytest.param("", "on_validation_batch_end", 0, 13, id="validation", marks=pytest.mark.slow),
    ],
)
def test_a_signal_is_noticed_within_a_step(
    settings: str, hook: str, batch: int, steps: int, labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal_at(monkeypatch, hook, 0, batch, signal.SIGTERM)
    stopped = labbook(*QUICK, "data.limit=900", *settings.split())
    assert stopped.code == 143
    content = torch.load(stopped.run / "checkpoints" / "last.ckpt", weights_only=True)
    assert (content["epoch"], content["global_step"]) == (0, steps)
    assert not (stopped.run / "metrics.csv").exists()


@pytest.mark.parametrize("signum", [pytest.param(signal.SIGHUP, marks=pytest.mark.slow), signal.SIGUSR1])
def test_other_signals_stop_a_run_too(signum: int, labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_at(monkeypatch, "on_train_batch_end", 0, 5, signum)
    stopped = labbook(*QUICK)
    assert stopped.code == 128 + signum
    assert metrics_of(stopped.run)["status"] == "interrupted"


@pytest.mark.parametrize("first", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_second_signal_ends_a_run_at_once(first: int, labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_at(monkeypatch, "on_train_batch_end", 1, 5, first, signal.SIGINT)
    stopped = labbook(*QUICK)
    assert stopped.code == 130
    assert metrics_of(stopped.run)["status"] == "interrupted"
    content = torch.load(stopped.run / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 21  # the end of the epoch before: nothing more was saved


@pytest.mark.slow
def test_a_terminal_that_is_closed_twice_is_closed_once(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_at(monkeypatch, "on_train_batch_end", 1, 5, signal.SIGHUP, signal.SIGHUP)
    stopped = labbook(*QUICK)
    assert stopped.code == 128 + signal.SIGHUP
    assert torch.load(stopped.run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 21 + 6


@pytest.mark.slow
def test_what_nohup_starts_outlives_its_terminal(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signal_at(monkeypatch, "on_train_batch_end", 0, 5, signal.SIGHUP)
        assert labbook(*QUICK).code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


# Whose learning rate falls after each epoch but the first.
PLATEAU = ["scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=9", "scheduler.factor=0.5"]


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param([], marks=pytest.mark.slow),
        ["scheduler=step", "scheduler.milestones=[0.75]"],
        pytest.param(PLATEAU, marks=pytest.mark.slow),
    ],
    ids=["none", "step", "plateau"],
)
def test_a_finished_run_trains_on(schedule: list[str], labbook: Command) -> None:
    """Also by a schedule that has come to its end, but would not have in so many epochs."""
    settings = ("model=mlp", "trainer.precision=32", "callbacks=none", "logger=none", "data.limit=150", *schedule)
    at_once = labbook(*settings, "epochs=4").run
    first = labbook(*settings, "epochs=2").run
    more = labbook(f"resume={first}", "epochs=4")
    assert more.code == 0, more.err
    assert metrics_of(first)["epochs"] == 4
    assert [row["epoch"] for row in rows_of(first)] == ["1", "2", "3", "4"]
    assert same_weights(at_once, first)
    config = (first / "config.yaml").read_text()
    assert "epochs: 4" in config


def test_a_run_interrupted_between_training_and_test_is_only_tested(
    labbook: Command, trained: Callable[..., Path]
) -> None:
    run = trained(*QUICK, "data.limit=100")
    before = metrics_of(run)
    for left in (b'{"status": "interrupted"}', b"\xff"):
        (run / "metrics.json").write_bytes(left)
        again = labbook(f"resume={run}")
        assert again.code == 0, again.err
        assert metrics_of(run)["test/loss"] == before["test/loss"]


def test_tensorboard_after_resuming_has_each_step_once(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    signal_at(monkeypatch, "on_train_batch_end", 1, 3, signal.SIGINT)
    run = labbook("model=mlp", "trainer.precision=32", "epochs=3").run
    labbook(f"resume={run}")
    events = EventAccumulator(str(run)).Reload()
    assert [event.step for event in events.Scalars("loss/train")] == [21, 42, 63]
    assert [event.step for event in events.Images("training_images")] == [0]
    assert [event.step for event in events.Scalars("acc/test")] == [63]
    commands = events.Tensors("command/text_summary")
    assert [event.step for event in commands] == [0, 25]
    assert f"resume={run}".encode() in commands[1].tensor_proto.string_val[0]


def test_a_folder_can_be_moved_before_it_is_resumed(
    labbook: Command, trained: Callable[..., Path], tmp_path: Path
) -> None:
    moved = trained(*QUICK, "data.limit=100").rename(tmp_path / "elsewhere")
    more = labbook(f"resume={moved}", "epochs=3")
    assert more.code == 0, more.err
    assert more.run == moved
    assert metrics_of(moved)["epochs"] == 3


def test_another_trainer_leaves_the_settings_that_the_run_was_started_with(labbook: Command) -> None:
    counting = ("trainer.accumulate_grad_batches=3", "trainer.limit_train_batches=2")
    run = labbook(*QUICK, "data.limit=300", "epochs=1", *counting, "trainer.gradient_clip_val=0.5").run
    more = labbook(f"resume={run}", "epochs=2", "trainer=cpu", "trainer.precision=bf16-mixed")
    assert more.code == 0, more.err
    trainer = OmegaConf.load(run / "config.yaml").trainer
    assert (trainer.accumulate_grad_batches, trainer.limit_train_batches, trainer.gradient_clip_val) == (3, 2, 0.5)
    assert (trainer.accelerator, trainer.precision) == ("cpu", "bf16-mixed")
    assert [row["step"] for row in rows_of(run)] == ["1", "2"]
    again = labbook(f"resume={run}", "epochs=3", "trainer=cpu", "trainer.accumulate_grad_batches=1")
    assert again.code == 2
    assert "would change how many steps an epoch has" in again.sentence


@pytest.mark.slow
def test_settings_of_the_choices_of_a_run_may_change_where_callbacks_may(labbook: Command) -> None:
    several = "callbacks=[ema, early_stopping]"
    run = labbook("model=mlp", "data.limit=50", "epochs=1", "logger=none", several, "callbacks.ema.decay=0.9").run
    assert "callbacks: '[ema,early_stopping]'" in (run / "config.yaml").read_text()
    more = labbook(f"resume={run}", "epochs=2", "callbacks.early_stopping.patience=7", "model.depth=1")
    assert more.code == 0, more.err
    settings = OmegaConf.load(run / "config.yaml")
    assert (settings.callbacks.ema.decay, settings.callbacks.early_stopping.patience) == (0.9, 7)
    assert labbook(f"resume={run}", "epochs=3", several).code == 0  # what it has already, in other writing
    assert OmegaConf.load(run / "config.yaml").callbacks.ema.decay == 0.9
    assert "callbacks: '[ema,early_stopping]'" in (run / "config.yaml").read_text()
    more = labbook(f"resume={run}", "epochs=4", "callbacks.emma.decay=0.5")
    assert more.sentence.startswith("callbacks.emma is not a setting; did you mean ema? settings here: early_stopping")


def test_choices_of_an_own_folder_are_kept_on_resuming(labbook: Command, tmp_path: Path) -> None:
    file = tmp_path / "more" / "callbacks" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("mine:\n  _target_: labbook.callbacks.ema.EMA\n  decay: 0.9\n")
    more = ("--config-dir", str(tmp_path / "more"))
    run = labbook(*more, "model=mlp", "data.limit=50", "epochs=1", "logger=none", "callbacks=mine").run
    again = labbook(*more, f"resume={run}", "epochs=2", "callbacks.mine.decay=0.8")
    assert again.code == 0, again.err
    assert OmegaConf.load(run / "config.yaml").callbacks.mine.decay == 0.8


@pytest.mark.parametrize("choice", ["a" * 400, "ema,none", "[[ema", "../model/mlp", "gone", "[ema,gone]", "none]", ""])
def test_what_is_no_choice_is_left_out_on_resuming(choice: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"model: {{}}\ndata: {{}}\nchoices:\n  callbacks: {choice!r}\n")
    arguments = [f"resume={tmp_path}", "callbacks.ema.decay=0.9"]
    assert add_run_choices(arguments, [CONFIGS]) == arguments


@pytest.mark.parametrize(
    "setting", ["callbacks.ema.decay=0.9", "+callbacks.ema.x=1", "~callbacks.ema", "callbacks.x=1"]
)
def test_settings_bring_the_choice_that_they_belong_to(setting: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "model: {}\ndata: {}\nconfig_groups:\n  callbacks: '[ema,lookahead]'\n  model: mlp\n"
    )
    arguments = [f"resume='{tmp_path}'", setting]
    assert add_run_choices(arguments, [CONFIGS]) == [*arguments, "callbacks=[ema,lookahead]"]
    given = [*arguments, "callbacks=none"]
    assert add_run_choices(given, [CONFIGS]) == given


@pytest.mark.slow
def test_another_logger_is_noted(labbook: Command) -> None:
    run = labbook("model=mlp", "trainer.precision=32", "epochs=1").run
    more = labbook(f"resume={run}", "epochs=2", "logger=none")
    assert more.code == 0, more.err
    assert "logger: none" in (run / "config.yaml").read_text()

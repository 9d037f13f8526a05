"""A run that is killed outright, whenever that is, goes on and ends with the bits of one that was not."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from labbook import files
from labbook.callbacks.checkpoints import RunCheckpoints
from labbook.callbacks.epoch_end import EpochEnd
from labbook.callbacks.epoch_recorder import EpochRecorder
from labbook.training import checkpoint_io
from labbook.training.classifier import Classifier
from tests.conftest import Command
from tests.security.test_what_is_written import assert_plain
from tests.test_train import metrics_of, without_times

# Networks without and with batch norm, whose averages are to go on, too; both with dropout.
DENSE = "model=mlp model.width=16 model.dropout=0.3"
NORMED = "model=deep_convnet model.channels=[4] model.hidden=8"

# Every optimizer, schedule and recipe of a training; augmentation in all, the state saved after every step.
SETTINGS = (
    f"{DENSE} optimizer=adam scheduler=none",
    f"{NORMED} optimizer=adamw scheduler=step scheduler.milestones=[0.4] data.drop_last=true task.mixup=0.4"
    " task.cutmix=1 task.sam=0.1 task.label_smoothing=0.1 trainer.gradient_clip_val=1",
    f"{NORMED} optimizer=sgd scheduler=cosine scheduler.interval=epoch trainer.accumulate_grad_batches=2 callbacks=ema"
    " task.norm_bias_lr_factor=64",
    f"{DENSE} optimizer=sgd_momentum scheduler=onecycle callbacks=lookahead task.backbone_lr_factor=0.1"
    " task.tta=mirror",
    f"{DENSE} optimizer=rmsprop scheduler=cosine scheduler.warmup_epochs=1 data.val_fraction=0",
    f"{DENSE} optimizer=keras_adam scheduler=triangular task.layer_lr_decay=0.5 task.mixup=1"
    " callbacks=[ema,gradient_norms]",
    f"{DENSE} optimizer=keras_rmsprop scheduler=step test_checkpoint=last trainer.check_val_every_n_epoch=2"
    " callbacks=ema",
)
QUICK = (2,)
COMMON = (
    "data.limit=600",
    "data.augment=[{rotation: 10}, {crop: 2}, {erasing: 0.5}]",
    *("trainer.precision=32", "epochs=2", "callbacks=none", "checkpoint.every_minutes=1e-9"),
)  # 8 to 10 steps an epoch, and one of validation

# What is about to be called, and for which time, when the run is killed.
MOMENTS: dict[str, tuple[Any, str, int]] = {
    "before the first step": (EpochEnd, "on_train_start", 1),
    "in an epoch": (EpochEnd, "on_train_batch_end", 14),
    "in the validation": (EpochEnd, "on_validation_batch_end", 1),
    "before the row of an epoch": (EpochRecorder, "record", 2),
    "between row and checkpoint": (RunCheckpoints, "save_epoch", 2),
    "while a checkpoint is written": (checkpoint_io, "add_checksum", 14),
    "as soon as it has its name": (files, "flush_folder", 10),
    "in the test": (Classifier, "on_test_epoch_end", 1),
}


@contextmanager
def killed_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch, moments: Mapping[str, tuple[Any, str, int]] = MOMENTS
) -> Iterator[dict[str, Path]]:
    """Run what is within; at each moment, keep a copy of what `kill -9` would leave of the run on the disk."""
    left: dict[str, Path] = {}

    def watch(moment: str, owner: Any, name: str, nth: int) -> None:
        original: Callable[..., Any] = getattr(owner, name)
        calls = 0

        def watched(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == nth:
                (run,) = (folder / "logs" / "runs").iterdir()
                left[moment] = folder / "killed" / moment.replace(" ", "_")
                shutil.copytree(run, left[moment])
            return original(*arguments)

        patch.setattr(owner, name, watched)

    with monkeypatch.context() as patch:
        for moment, place in moments.items():
            watch(moment, *place)
        yield left


def state_of(run: Path) -> dict[str, Any]:
    """All that a run's last checkpoint holds, but for Lightning's counters and the times."""
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    for row in content["callbacks"]["Recorder"]["rows"]:
        del row["seconds"], row["images_per_second"]
    del content["callbacks"]["Recorder"]["seconds"], content["callbacks"]["Recorder"]["unfinished"], content["loops"]
    return content


def equal(one: Any, other: Any) -> bool:
    """Whether two states are the same to the bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def logged(run: Path) -> dict[str, list[int]]:
    """The steps of everything that TensorBoard shows of a run."""
    events = EventAccumulator(str(run)).Reload()
    scalars = {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    images = {tag: [event.step for event in events.Images(tag)] for tag in events.Tags()["images"]}
    return scalars | images


def same_in_all(whole: Path, run: Path) -> None:
    """Assert that two runs ended alike."""
    assert equal(state_of(whole), state_of(run))
    assert without_times(whole) == without_times(run)
    assert logged(whole) == logged(run)
    best = whole / "checkpoints" / "best.ckpt"
    assert best.exists() == (run / "checkpoints" / "best.ckpt").exists()
    if best.exists():
        states = [torch.load(each / "checkpoints" / "best.ckpt", weights_only=True) for each in (whole, run)]
        assert equal(*(state["state_dict"] for state in states))
    figures = ("test/loss", "test/acc", "train/loss", "val/loss", "tested_epoch", "test/confusion_matrix", "objective")
    one, other = metrics_of(whole), metrics_of(run)
    assert [one.get(name) for name in figures] == [other.get(name) for name in figures]
    assert not list(run.rglob("*.partial"))


def goes_on_alike(labbook: Command, whole: Path, left: dict[str, Path], moments: list[str]) -> None:
    for moment in moments:
        resumed = labbook(f"resume={left[moment]}")
        assert resumed.code == 0, moment + resumed.err
        same_in_all(whole, resumed.run)


@pytest.mark.parametrize(
    "number",
    [pytest.param(number, marks=[] if number in QUICK else pytest.mark.slow) for number in range(len(SETTINGS))],
)
def test_a_run_killed_at_any_moment_ends_with_the_same_bits(
    number: int, labbook: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed_at(tmp_path, monkeypatch) as left:
        ended = labbook(*COMMON, *SETTINGS[number].split())
    assert ended.code == 0, ended.err
    validated = "val_fraction=0" not in SETTINGS[number]
    assert set(MOMENTS) - set(left) == (set() if validated else {"in the validation"})
    for checkpoint in (tmp_path / "killed").rglob("*.ckpt"):
        assert_plain(checkpoint)
    moments = [moment for moment in MOMENTS if moment in left]
    # Every second moment; all of them with all settings are for the slow test.
    goes_on_alike(labbook, ended.run, left, moments[(number + 1) % 2 :: 2])


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("every", ["1e-9", "10"], ids=["saved each step", "saved each epoch"])
def test_every_setting_at_every_moment(
    every: str, settings: str, labbook: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed_at(tmp_path, monkeypatch) as left:
        ended = labbook(*COMMON, "callbacks=default", *settings.split(), f"checkpoint.every_minutes={every}")
    assert ended.code == 0, ended.err
    goes_on_alike(labbook, ended.run, left, list(left))


def test_what_was_lost_is_not_in_the_table_while_the_run_goes_on(
    labbook: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed_at(tmp_path, monkeypatch) as left:
        labbook(*DENSE.split(), *COMMON, "checkpoint.every_minutes=10")
    run = left["between row and checkpoint"]
    assert len(without_times(run)) == 2
    rows = []
    monkeypatch.setattr(EpochEnd, "on_train_start", lambda *_: rows.append(without_times(run)))
    assert labbook(f"resume={run}").code == 0
    assert [[row["epoch"] for row in each] for each in rows] == [["1"]]

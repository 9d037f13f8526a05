"""What is said of a training while it goes on: when it is true, once, and not otherwise."""

import logging
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labbook.callbacks.diagnostics import TrainingDiagnostics, find_problems, guessing_note, overfitting_note
from labbook.data.batches import GpuStallTimer
from labbook.data.datamodule import ImageDataModule, Images
from labbook.training.epoch_rows import Row, time_left
from tests.data.samples import few, made, noise

CLASSES = 3


def row(epoch: int = 1, step: int = 200, **figures: float) -> Row:
    """An epoch of 600 images in 2 seconds; `val_acc=0.9` is the figure val/acc."""
    named = {name.replace("_", "/", 1): value for name, value in figures.items()}
    return {"epoch": epoch, "step": step, "images": 600, "images_per_second": 300.0, **named}


def set_of(labels: torch.Tensor, **options: Any) -> ImageDataModule:
    """600 images, a tenth of them for validation."""
    return made(train=Images(noise(600, 1, 6, 6), labels), **options)


@pytest.fixture(scope="module")
def data() -> ImageDataModule:
    return set_of(torch.arange(600) % CLASSES)


@pytest.fixture(scope="module")
def sorted_data() -> ImageDataModule:
    return set_of(torch.arange(600) // 200, shuffle=False)


@pytest.mark.parametrize(("train", "val", "said"), [
    (0.33, 0.35, True), (0.30, 0.20, True), (0.33, 0.60, False), (0.60, 0.33, False), (1.0, 1.0, False),
])  # fmt: skip
def test_accuracy_by_chance_is_told(data: ImageDataModule, train: float, val: float, said: bool) -> None:
    note = guessing_note(row(train_acc=train, val_acc=val), data)
    assert (note is not None) == said
    assert not said or (note is not None and "optimizer.lr" in note and f"val acc {val:.4f}" in note)


def test_first_steps_may_be_by_chance(data: ImageDataModule, sorted_data: ImageDataModule) -> None:
    for each, steps in ((data, 99), (sorted_data, 9)):
        assert guessing_note(row(step=steps, train_acc=0.33, val_acc=0.33), each) is None
        assert guessing_note(row(step=steps + 1, train_acc=0.33, val_acc=0.33), each) is not None


def test_without_validation_it_is_the_training_that_counts(data: ImageDataModule) -> None:
    note = guessing_note(row(train_acc=0.33), data)
    assert note is not None
    assert note.startswith("train acc 0.3300")


def test_images_class_by_class_are_the_reason_also_where_training_seems_to_work(sorted_data: ImageDataModule) -> None:
    note = guessing_note(row(train_acc=0.95, val_acc=0.34), sorted_data)
    assert note is not None
    assert "data.shuffle=true" in note
    shuffled = set_of(torch.arange(600) // 200)
    assert guessing_note(row(train_acc=0.95, val_acc=0.34), shuffled) is None


def test_a_set_of_mostly_one_class_is_not_learnt_by_naming_it() -> None:
    rare = set_of((torch.arange(600) % 10 == 0).long())
    assert guessing_note(row(train_acc=0.9, val_acc=0.9), rare) is not None
    assert guessing_note(row(train_acc=0.99, val_acc=0.99), rare) is None


def rows_of(val: list[float], train: list[float]) -> list[Row]:
    pairs = enumerate(zip(val, train, strict=True), 1)
    return [row(epoch, train_loss=fitted, val_loss=held_out) for epoch, (held_out, fitted) in pairs]


def test_training_and_validation_that_part_ways_are_told() -> None:
    falling = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3]
    assert overfitting_note(rows_of([1.0, 0.9, 0.95, 1.0, 1.1, 1.2], falling)) is not None
    assert overfitting_note(rows_of([1.0, 0.9, 0.95, 1.0, 1.1], falling[:5])) is None  # risen three times
    assert overfitting_note(rows_of([1.0, 0.9, 0.95, 1.0, 0.99, 1.2], falling)) is None
    assert overfitting_note(rows_of([1.0, 0.9, 0.91, 0.92, 0.93, 0.94], falling)) is None  # by next to nothing
    assert overfitting_note(rows_of([1.0, 0.9, 0.95, 1.0, 1.1, 1.2], [*falling[:5], 0.45])) is None
    assert overfitting_note([row(epoch, train_loss=1.0) for epoch in range(6)]) is None


@given(st.lists(st.floats(0.01, 3), min_size=1, max_size=12), st.floats(0.5, 1))
@few
def test_a_training_that_goes_well_is_left_alone(data: ImageDataModule, losses: list[float], acc: float) -> None:
    """Validation loss never above the one before; accuracy far from chance."""
    falling = sorted(losses, reverse=True)
    rows = [each | {"train/acc": acc, "val/acc": acc} for each in rows_of(falling, falling)]
    assert all(find_problems(rows[:count], data) == {} for count in range(1, len(rows) + 1))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings that are given, in whatever state earlier tests left the logger."""
    lines: list[str] = []
    monkeypatch.setattr(logging.getLogger("labbook"), "warning", lambda text, *values: lines.append(text % values))
    return lines


class Watched:
    """A training of which only the rows and the data are there."""

    def __init__(self, data: ImageDataModule) -> None:
        self.rows: list[Row] = []
        self.diagnostics = TrainingDiagnostics(data)

    def epoch(self, row: Row) -> None:
        self.rows.append(row)
        self.diagnostics.check(self.rows)

    def goes_on(self) -> None:
        self.diagnostics = TrainingDiagnostics(self.diagnostics.data)
        self.diagnostics.start(self.rows)


def test_each_note_is_given_once_also_when_a_run_goes_on(data: ImageDataModule, told: list[str]) -> None:
    watched = Watched(data)
    for epoch in (1, 2):
        watched.epoch(row(epoch, train_acc=0.33, val_acc=0.33))
    watched.goes_on()
    watched.epoch(row(3, train_acc=0.33, val_acc=0.33))
    assert [line[:28] for line in told] == ["note: val acc 0.3300 is at c"]


@pytest.mark.parametrize(("seconds", "said"), [(0.3, False), (0.7, True)])
def test_a_gpu_that_waits_for_images_is_told(seconds: float, said: bool, told: list[str]) -> None:
    data = set_of(torch.arange(600) % CLASSES)
    data.waiting = GpuStallTimer(torch.device("cuda"))
    watched = Watched(data)
    data.waiting.seconds = 100.0  # of before the training, as pictures are drawn
    watched.goes_on()
    for epoch in (1, 2):
        data.waiting.seconds += seconds  # of 2
        watched.epoch(row(epoch, train_acc=0.9, val_acc=0.9))
    assert len(told) == said
    assert not said or ("35%" in told[0] and "data.on_device=true" in told[0])


def test_the_time_left_is_that_of_the_epochs_done() -> None:
    assert [time_left(seconds) for seconds in (0, 4.9, 15, 300)] == ["", "", "  15 s left", "  5 min left"]
    assert [time_left(seconds) for seconds in (99.4, 100, 5900, 6000, 86_500)] == [
        "  99 s left", "  2 min left", "  98 min left", "  1 h 40 min left", "  24 h 02 min left",
    ]  # fmt: skip

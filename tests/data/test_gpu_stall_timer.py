"""The time that a GPU stands still for want of images, with a GPU that is made up."""

import time

import pytest
import torch

from labbook.data.batches import GpuStallTimer
from tests.data.samples import made

GPU = torch.device("cuda", 0)


@pytest.mark.parametrize("idle", [True, False])
def test_only_time_in_which_there_was_nothing_else_to_do_counts(idle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GpuStallTimer, "is_idle", lambda self: idle)
    waiting = GpuStallTimer(GPU)
    for _ in range(2):
        with waiting:
            time.sleep(0.01)
        time.sleep(0.02)
    assert (0.02 <= waiting.seconds < 0.04) if idle else waiting.seconds == 0


def test_images_that_are_not_on_the_gpu_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GpuStallTimer, "is_idle", lambda self: True)
    data = made(on_device=False, batch_size=8)
    monkeypatch.setattr(type(data), "_device", GPU)
    for loader in (data.val_dataloader(), data.test_dataloader()):
        list(loader)
    assert data.waiting is None
    batches = list(data.train_dataloader())
    assert data.waiting is not None
    assert len(batches) == 6
    assert data.waiting.seconds > 0


def test_images_on_the_device_are_not_waited_for() -> None:
    data = made(batch_size=8)
    list(data.train_dataloader())
    assert data.waiting is None

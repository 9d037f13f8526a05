"""A data module beside a trainer: the epoch it is told of, and where its images live."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from labbook.data import resize
from labbook.data.loader import Batch, TensorLoader
from tests.data.samples import Made, first, made, noise, prepared

# With a trainer ----------------------------------------------------------------------------------------------------


class Watcher(LightningModule):
    """Learns nothing and remembers every position it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, int, list[int]]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append((batch.epoch, batch.step, batch.rows.tolist()))
        return self.weight * batch.images.mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(**options: Any) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", use_distributed_sampler=False, **quiet, **options)


class SaveAt(Callback):
    """Writes a checkpoint after some step."""

    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # that a loader has few workers, that there is no validation step
@pytest.mark.parametrize("step", [1, 4, 5])
def test_lightning_tells_the_epoch_and_goes_on_in_the_middle_of_one(step: int, tmp_path: Path) -> None:
    def watched(**options: Any) -> list[tuple[int, int, list[int]]]:
        watcher = Watcher()
        saver = SaveAt(tmp_path / "last.ckpt", step)
        trainer = Trainer(
            accelerator="cpu", max_epochs=3, callbacks=[saver], logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        )  # fmt: skip
        trainer.fit(watcher, datamodule=made(batch_size=20, val_fraction=0), **options)
        return watcher.seen

    whole = watched()
    assert [(epoch, step) for epoch, step, _ in whole] == [(epoch, step) for epoch in range(3) for step in range(3)]
    assert len({str([rows for each, _, rows in whole if each == epoch]) for epoch in range(3)}) == 3
    assert watched(ckpt_path=tmp_path / "last.ckpt", weights_only=True) == whole[step:]


# Where images live -------------------------------------------------------------------------------------------------


def test_a_batch_is_moved_to_the_device_that_trains() -> None:
    module = made()
    batch = first(module.train_dataloader())
    assert module.transfer_batch_to_device(batch, torch.device("cpu"), 0) is batch
    moved = module.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert moved.images.device.type == moved.labels.device.type == "meta"
    assert (moved.epoch, moved.step, moved.training) == (batch.epoch, batch.step, True)


@pytest.mark.parametrize(("free", "fits"), [(601, True), (600, False)])
def test_a_set_lives_on_a_gpu_if_it_takes_less_than_half_of_what_is_free(
    free: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**12))
    assert resize.fits_on_device([noise(1, 3, 10, 10)], torch.device("cuda")) is fits


def test_on_a_cpu_nothing_is_copied() -> None:
    for on_device in ("auto", True, False):
        loader = made(on_device=on_device).train_dataloader()
        assert isinstance(loader, TensorLoader)
        assert loader.images.data_ptr() == Made.train.pixels.data_ptr()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("on_device", ["auto", True, False])
def test_on_a_gpu_batches_are_those_of_the_cpu(on_device: Any) -> None:
    device = torch.device("cuda")
    module, reference = made(on_device=on_device), made()
    module.trainer = trainer_on(device)
    loader = module.train_dataloader()
    assert isinstance(loader, TensorLoader)
    assert loader.images.is_cuda == (on_device is not False)
    for batch, expected in zip(loader, reference.train_dataloader(), strict=True):
        moved = module.transfer_batch_to_device(batch, device, 0)
        assert moved.images.is_cuda
        assert moved.labels.is_cuda
        assert torch.equal(moved.images.cpu(), expected.images)
        assert torch.equal(moved.labels.cpu(), expected.labels)
        torch.testing.assert_close(prepared(module, moved).cpu(), prepared(reference, expected))
    module.teardown()
    assert not module._on_device


def trainer_on(device: torch.device) -> Trainer:
    return Trainer(accelerator=device.type, devices=1, logger=False, enable_checkpointing=False)

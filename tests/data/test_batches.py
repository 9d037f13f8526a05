"""Batches: augmentation depends on seed, epoch and step only; the time that a GPU waits for images."""

import time
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from labbook.data import batches as data_batches
from labbook.data.augment import TRANSFORMS, Draw
from labbook.data.batches import GpuStallTimer
from labbook.data.loader import Batch
from labbook.data.randomness import seeded_generator
from tests.data.samples import Made, few, first, images, loaders, made, prepared

GPU = torch.device("cuda", 0)


def test_only_training_batches_are_augmented() -> None:
    module = made(augment=[{"crop": 3}, "flip"], val_fraction=0.4)
    changed = []
    for loader, part in zip(loaders(module), ("train", "train", "test"), strict=True):
        batch = first(loader)
        plain = module.spec.normalize(module.parts[part].pixels[batch.rows])
        changed.append(not torch.equal(prepared(module, batch), plain))
    assert changed == [True, False, False]


def test_augmentation_is_a_function_of_seed_epoch_and_step() -> None:
    def drawn(seed: int = 42, **position: int) -> Tensor:
        module = made(augment=[{"rotation": 90}, {"crop": 2}], seed=seed)
        batch = Batch(Made.train.pixels, Made.train.labels, torch.arange(50), True, 0, 0, 1.0)
        return prepared(module, batch._replace(**position))

    assert torch.equal(drawn(), drawn())
    different = [drawn(), drawn(seed=43), drawn(epoch=1), drawn(step=1), drawn(epoch=1, step=1)]
    for index, one in enumerate(different):
        assert not any(torch.equal(one, other) for other in different[:index])


def test_transforms_follow_each_other_in_the_order_of_the_list() -> None:
    """A crop after a rotation shifts in zeros; before it, the rotation turns what was cropped."""
    batch = Batch(Made.train.pixels, Made.train.labels, torch.arange(50), True, 0, 0, 1.0)
    one, other = made(augment=[{"rotation": 45}, "crop"]), made(augment=["crop", {"rotation": 45}])
    assert not torch.equal(prepared(one, batch), prepared(other, batch))


def test_the_set_itself_is_never_changed() -> None:
    before = Made.train.pixels.clone()
    module = made(augment=["flip", "crop", "rotation"])
    for batch in module.train_dataloader():
        prepared(module, batch)
    assert torch.equal(module.parts["train"].pixels, before)


def test_the_memory_format_is_the_models() -> None:
    for augment in ([], ["flip"]):
        module = made(augment=augment)
        assert prepared(module, first(module.train_dataloader())).is_contiguous()
        module.memory_format = torch.channels_last
        last = prepared(module, first(module.train_dataloader()))
        assert last.is_contiguous(memory_format=torch.channels_last)


PARTED = [{"crop": 2}, "flip", "alternating_flip", {"reflect_crop": 3}]


def test_large_images_are_augmented_in_parts_from_one_row_of_draws() -> None:
    module = made(images(5), image_size=400, augment=PARTED, batch_size=5, val_fraction=0)
    batch = first(module.train_dataloader())
    assert len(batch.images) == 5
    assert data_batches.AUGMENTED // batch.images[0].numel() == 1
    random = seeded_generator(batch.images.device, module.seed, 0, 0, 0)
    for index, image in enumerate(batch.images.split(1)):
        for transform in module.transforms:
            image = transform(image, Draw(random, batch.rows[index : index + 1], 0, module.seed))
        assert torch.equal(prepared(module, batch)[index], module.spec.normalize(image)[0])


def test_an_epoch_that_goes_on_in_the_middle_is_mirrored_as_if_it_had_not_stopped() -> None:
    whole, resumed = (made(augment=["alternating_flip"], batch_size=20, val_fraction=0) for _ in range(2))
    batches = []
    for epoch in range(2):
        loader = whole.train_dataloader()
        loader.set_epoch(epoch)
        batches += [prepared(whole, batch) for batch in loader]
    loader = resumed.train_dataloader()
    loader.load_state_dict({"epoch": 1, "step": 1})
    after = [prepared(resumed, batch) for batch in loader]
    assert len(after) == 2
    for one, other in zip(after, batches[4:], strict=True):
        assert torch.equal(one, other)


@few
@given(
    at_once=st.sampled_from([1, 100, 500, 10**6]),
    batch_size=st.integers(1, 30),
    augment=st.sampled_from([[], ["flip"], ["alternating_flip"]]),
)
def test_how_many_are_normalized_at_a_time_changes_nothing(at_once: int, batch_size: int, augment: list[str]) -> None:
    def seen() -> list[Tensor]:
        module = made(batch_size=batch_size, augment=augment)
        module.memory_format = torch.channels_last
        return [prepared(module, batch) for batch in module.train_dataloader()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_batches, "AUGMENTED", at_once)
        patch.setattr("labbook.data.loader.AT_ONCE", at_once)
        some = seen()
    for one, other in zip(some, seen(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_the_memory_layout_does_not_change_what_augmentation_does(
    name: str, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 24
    monkeypatch.setattr(data_batches, "AUGMENTED", 4 * channels * size**2)  # four at a time, and the rest
    contiguous = images(10, channels, size, seed=1)
    last = contiguous._replace(pixels=contiguous.pixels.contiguous(memory_format=torch.channels_last))
    seen = []
    for part, layout in product((contiguous, last), (torch.contiguous_format, torch.channels_last)):
        module = made(part, images(4, channels, size), image_size=size, augment=[name], batch_size=10, val_fraction=0)
        module.memory_format = layout
        batch = first(module.train_dataloader())
        seen.append(prepared(module, batch))
        assert batch.images.dtype == torch.uint8
        assert seen[-1].is_contiguous(memory_format=layout)
    for other in seen[1:]:
        torch.testing.assert_close(other, seen[0], atol=1e-3, rtol=1e-4)


# Waiting for images -------------------------------------------------------------------------------------------------


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

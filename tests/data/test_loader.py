"""Every image once, in an order that is a function of the position, from any position on."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from labbook.data.loader import AT_ONCE, Batch, TensorLoader
from tests.data.samples import few, noise

IMAGES = noise(80, 1, 2, 2)
LABELS = torch.arange(80) * 3


def loader(rows: int | Tensor = 23, batch_size: int = 4, **options: Any) -> TensorLoader:
    """Over some of 80 images, by default shuffled as for training."""
    rows = torch.arange(rows) if isinstance(rows, int) else rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labbook.data.loader.AT_ONCE", options.pop("at_once", AT_ONCE))
        return TensorLoader(IMAGES, LABELS, rows, batch_size, **{"training": True, "shuffle": True} | options)


def rows_of(batches: Any) -> list[list[int]]:
    return [batch.rows.tolist() for batch in batches]


def counted(batch: Batch) -> list[int]:
    """The images of a batch that count: one of weight 0 only keeps its process in step."""
    return batch.rows.tolist() if batch.weight else []


SIZES = st.integers(1, 60)
WAYS = st.sampled_from([None, Tensor.float])  # batch by batch, or many at a time
NUMBERS = st.sampled_from([8, 40, 100, 2**19])  # at a time; an image has four
SETTINGS: dict[str, Any] = {
    "n": SIZES,
    "batch_size": SIZES,
    "drop_last": st.booleans(),
    "shuffle": st.booleans(),
    "world_size": st.integers(1, 3),
    "epoch": st.integers(0, 5),
    "normalize": WAYS,
    "at_once": NUMBERS,
}


@few
@given(**SETTINGS)
def test_all_processes_together_see_each_image_once(
    n: int, batch_size: int, drop_last: bool, shuffle: bool, world_size: int, epoch: int, normalize: Any, at_once: int
) -> None:
    rows = torch.arange(80).flip(0)[:n]
    options = {"drop_last": drop_last, "shuffle": shuffle, "normalize": normalize, "at_once": at_once}
    loaders = [loader(rows, batch_size, rank=rank, world_size=world_size, **options) for rank in range(world_size)]
    for each in loaders:
        each.set_epoch(epoch)
    steps = list(zip(*loaders, strict=True))  # strict: no process has a step more, in which it would wait for ever
    seen = [row for step in steps for batch in step for row in counted(batch)]
    expected = n // batch_size * batch_size if drop_last else n
    assert len(seen) == len(set(seen)) == expected
    assert set(seen) <= set(rows.tolist())
    assert [len(each) for each in loaders] == [len(steps)] * world_size
    assert [batch.step for batch, *_ in steps] == list(range(len(steps)))


@few
@given(**SETTINGS)
def test_a_batch_holds_the_same_images_however_many_processes_share_it(
    n: int, batch_size: int, drop_last: bool, shuffle: bool, world_size: int, epoch: int, normalize: Any, at_once: int
) -> None:
    options = {"drop_last": drop_last, "shuffle": shuffle, "normalize": normalize, "at_once": at_once}
    alone = loader(n, batch_size, **options)
    loaders = [loader(n, batch_size, rank=rank, world_size=world_size, **options) for rank in range(world_size)]
    for each in (alone, *loaders):
        each.set_epoch(epoch)
    for whole, *parts in zip(alone, *loaders, strict=True):
        assert sorted(row for part in parts for row in counted(part)) == sorted(whole.rows.tolist())


@few
@given(n=SIZES, batch_size=SIZES, world_size=st.integers(1, 4))
def test_weighted_means_average_to_the_mean_over_the_whole_batch(n: int, batch_size: int, world_size: int) -> None:
    loss = torch.rand(80, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    loaders = [loader(n, batch_size, rank=rank, world_size=world_size) for rank in range(world_size)]
    for whole, *parts in zip(loader(n, batch_size), *loaders, strict=True):
        means = torch.stack([part.weight * loss[part.rows].mean() for part in parts])
        torch.testing.assert_close(means.mean(), loss[whole.rows].mean())


def test_a_process_without_an_image_still_takes_part() -> None:
    left_over = [list(loader(9, 8, rank=rank, world_size=3))[-1] for rank in range(3)]
    assert [len(batch.labels) for batch in left_over] == [1, 1, 1]
    assert [batch.weight for batch in left_over] == [3, 0, 0]


def test_grey_images_in_three_channels_become_contiguous_batches() -> None:
    spread = IMAGES[:, :1].expand(-1, 3, -1, -1)
    batch = TensorLoader(spread, LABELS, torch.arange(len(LABELS)), 8)
    images = next(iter(batch)).images
    assert images.is_contiguous()
    assert torch.equal(images, spread[:8])


def test_a_batch_is_what_its_rows_say() -> None:
    for batch in loader():
        assert batch.images.dtype == torch.uint8
        assert batch.labels.dtype == torch.int64
        assert torch.equal(batch.images, IMAGES[batch.rows])
        assert torch.equal(batch.labels, LABELS[batch.rows])


def test_small_batches_are_normalized_many_at_a_time() -> None:
    blocks: list[int] = []

    def half(images: Tensor) -> Tensor:
        blocks.append(len(images))
        return images / 2

    seen = list(loader(normalize=half))
    assert blocks == [23]
    for batch in seen:
        assert torch.equal(batch.images, IMAGES[batch.rows] / 2)
        assert torch.equal(batch.labels, LABELS[batch.rows])


def test_a_large_batch_comes_as_it_is() -> None:
    images = torch.zeros(4, 1, 1, AT_ONCE // 2, dtype=torch.uint8)
    large = TensorLoader(images, torch.arange(4), torch.arange(4), 2, normalize=Tensor.float)
    assert [batch.images.dtype for batch in large] == [torch.uint8] * 2


@few
@given(n=SIZES, batch_size=SIZES, epoch=st.integers(0, 3))
def test_without_shuffling_the_order_is_that_of_the_rows(n: int, batch_size: int, epoch: int) -> None:
    rows = torch.randperm(80, generator=torch.Generator().manual_seed(n))[:n]
    ordered = loader(rows, batch_size, shuffle=False)
    ordered.set_epoch(epoch)
    assert [row for batch in ordered for row in batch.rows.tolist()] == rows.tolist()


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    used = loader(seed=7)
    first = rows_of(used)
    torch.manual_seed(99)
    used.set_epoch(3)
    next(iter(used))
    used.set_epoch(0)
    assert rows_of(used) == first == rows_of(loader(seed=7))


def test_every_epoch_and_every_seed_has_its_own_order() -> None:
    orders = set()
    for seed in range(3):
        shuffled = loader(seed=seed)
        for epoch in range(4):
            shuffled.set_epoch(epoch)
            orders.add(str(rows_of(shuffled)))
    assert len(orders) == 12
    assert str(rows_of(loader(shuffle=False))) not in orders


@few
@given(
    n=SIZES,
    batch_size=SIZES,
    drop_last=st.booleans(),
    world_size=st.integers(1, 2),
    epoch=st.integers(0, 3),
    stop=st.floats(0, 1),
    normalize=WAYS,
    at_once=NUMBERS,
)
def test_from_any_step_exactly_the_rest_follows(
    n: int, batch_size: int, drop_last: bool, world_size: int, epoch: int, stop: float, normalize: Any, at_once: int
) -> None:
    options = {"drop_last": drop_last, "seed": 5, "normalize": normalize, "at_once": at_once}
    options |= {"rank": world_size - 1, "world_size": world_size}
    whole = loader(n, batch_size, **options)
    whole.set_epoch(epoch)
    batches = list(whole)
    done = round(stop * len(batches))

    first = loader(n, batch_size, **options)
    first.set_epoch(epoch)
    begun = iter(first)
    for _ in range(done):
        next(begun)
    state = json.loads(json.dumps(first.state_dict()))  # plain data, as a checkpoint may hold

    second = loader(n, batch_size, **options)
    second.load_state_dict(state)
    second.set_epoch(epoch)  # as Lightning does when it begins or goes on with an epoch
    rest = list(second)
    assert [(batch.epoch, batch.step) for batch in rest] == [(epoch, step) for step in range(done, len(batches))]
    assert rows_of(rest) == rows_of(batches[done:])
    for one, other in zip(rest, batches[done:], strict=True):
        assert torch.equal(one.images, other.images)
        assert one.images.storage_offset() == other.images.storage_offset()  # or a kernel could come to other bits
    assert rows_of(second) == rows_of(batches)  # only the first iteration goes on in the middle


def test_another_epoch_starts_from_its_beginning() -> None:
    resumed = loader()
    resumed.load_state_dict({"epoch": 1, "step": 3})
    resumed.set_epoch(2)
    fresh = loader()
    fresh.set_epoch(2)
    assert resumed.state_dict() == {"epoch": 2, "step": 0}
    assert rows_of(resumed) == rows_of(fresh)


def test_the_position_counts_the_batches_handed_out() -> None:
    positions = loader(10, 4)
    assert [positions.state_dict()["step"] for _ in positions] == [1, 2, 3]


def test_only_a_training_loader_is_told_the_epoch() -> None:
    training = loader()
    assert training.sampler is training
    assert not hasattr(loader(training=False), "sampler")


@pytest.mark.parametrize("training", [True, False])
def test_batches_say_whether_they_are_for_training(training: bool) -> None:
    assert {batch.training for batch in loader(training=training)} == {training}

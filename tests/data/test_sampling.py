"""What decides which images an epoch has: `data.sampler`, and further tensors that follow the images."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from labbook.data.images import Images, with_content_hash
from labbook.data.loader import TensorLoader
from labbook.data.sampling import Balanced, draw_order
from labbook.errors import SettingError
from tests.data.samples import first, images, made, noise

CPU = torch.device("cpu")
UNEVEN = Images(noise(330, 1, 4, 4), torch.tensor([0] * 300 + [2] * 15 + [1] * 15), extra={"age": torch.arange(330.0)})


class Twice:
    """The rows in their order, each as often as `times` says."""

    def __init__(self, times: int = 2) -> None:
        self.times = times

    def order(self, labels: Tensor, rows: Tensor, seed: int, epoch: int) -> Tensor:
        return rows.repeat(self.times)


class Returns:
    """What it is given to return, in each epoch its own."""

    def __init__(self, *answers: Any) -> None:
        self.answers = answers

    def order(self, labels: Tensor, rows: Tensor, seed: int, epoch: int) -> Tensor:
        return self.answers[min(epoch, len(self.answers) - 1)]


def test_balanced_draws_each_class_alike_and_every_image_of_it() -> None:
    rows = torch.arange(1000, 1330)
    orders = [Balanced().order(UNEVEN.labels, rows, 3, epoch) for epoch in range(40)]
    assert all(len(order) == 330 for order in orders)
    everything = torch.cat(orders) - 1000
    shares = torch.bincount(UNEVEN.labels[everything]) / len(everything)
    assert (shares - 1 / 3).abs().max() < 0.02
    times = torch.bincount(everything, minlength=330)
    assert times.min() > 0
    assert times[300:].min() > times[:300].max()
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(orders[1], Balanced().order(UNEVEN.labels, rows, 3, 1))
    assert not torch.equal(orders[1], Balanced().order(UNEVEN.labels, rows, 4, 1))


def test_a_class_that_is_not_there_is_not_drawn() -> None:
    labels = torch.tensor([5, 2, 5, 5])
    order = torch.cat([Balanced().order(labels, torch.arange(4), 0, epoch) for epoch in range(50)])
    assert 80 < int((order == 1).sum()) < 120


def test_balanced_needs_one_class_for_each_image() -> None:
    with pytest.raises(SettingError, match=r"^data\.sampler=balanced needs one class per image"):
        Balanced().order(torch.ones(4, 3), torch.arange(4), 0, 0)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("sampler", [Balanced(), Twice(3)])
def test_a_sampled_epoch_goes_on_in_the_middle_and_is_shared(sampler: Any, world_size: int) -> None:
    rows = torch.arange(0, 330, 3)

    def loader(rank: int, world_size: int = world_size) -> TensorLoader:
        return TensorLoader(
            UNEVEN.pixels, UNEVEN.labels, rows, 16, training=True, shuffle=True, seed=1, rank=rank,
            world_size=world_size, sampler=sampler, extra=UNEVEN.extra,
        )  # fmt: skip

    alone, *shares = loader(0, 1), *(loader(rank) for rank in range(world_size))
    for each in (alone, *shares):
        each.set_epoch(2)
    whole = list(alone)
    assert len(whole) == len(alone) == -(-alone.count // 16)
    assert sum(len(batch.rows) for batch in whole) == alone.count == alone.images_in(0, len(alone))
    for batch, *parts in zip(whole, *shares, strict=True):
        together = [row for part in parts if part.weight for row in part.rows.tolist()]
        assert sorted(together) == sorted(batch.rows.tolist())
        for part in parts:
            assert torch.equal(part.images, UNEVEN.pixels[part.rows])
            assert torch.equal(part.extra["age"], UNEVEN.extra["age"][part.rows])
    resumed = loader(0, 1)
    resumed.load_state_dict({"epoch": 2, "step": 4})
    for one, other in zip(resumed, whole[4:], strict=True):
        assert torch.equal(one.rows, other.rows)
        assert torch.equal(one.extra["age"], other.extra["age"])


def test_a_data_module_samples_from_its_training_images_alone() -> None:
    module = made(images(50), sampler="balanced", batch_size=9, val_fraction=0.4, limit=40)
    loader = module.train_dataloader()
    assert len(loader) == 3  # of 24 images
    assert loader.count == 24
    seen = torch.cat([batch.rows for batch in loader])
    assert set(seen.tolist()) <= set(module.rows["train"].tolist())
    assert len(set(seen.tolist())) < 24
    assert first(module.test_dataloader()).rows.tolist() == list(range(9))


def test_the_length_of_an_epoch_is_the_samplers() -> None:
    module = made(images(10), sampler=Twice(3), batch_size=4, val_fraction=0, drop_last=True)
    loader = module.train_dataloader()
    assert len(loader) == len(list(loader)) == 7
    assert loader.images_in(0, 7) == 28


def test_global_random_numbers_of_a_sampler_depend_on_the_position_and_disturb_nothing() -> None:
    class Careless:
        def order(self, labels: Tensor, rows: Tensor, seed: int, epoch: int) -> Tensor:
            random.random()
            return rows[torch.from_numpy(np.random.permutation(len(rows)))][torch.randperm(len(rows))]

    rows = torch.arange(50)
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    expected = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    one = draw_order(Careless(), rows, rows, 1, 2)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected
    assert torch.equal(one, draw_order(Careless(), rows, rows, 1, 2))
    assert not torch.equal(one, draw_order(Careless(), rows, rows, 1, 3))


EXPECTED = "data.sampler: Returns.order must return some of the given rows, int64 [m], not"


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (([1, 2],), f"{EXPECTED} list"),
        ((torch.tensor([1.0]),), f"{EXPECTED} float32 [1]"),
        ((torch.tensor([[1]]),), f"{EXPECTED} int64 [1, 1]"),
        ((torch.tensor([], dtype=torch.int64),), f"{EXPECTED} int64 [0]"),
        ((torch.tensor([0, 77]),), f"{EXPECTED} 77, which is no training image"),
        (
            (torch.tensor([0, 1]), torch.tensor([0])),
            "data.sampler: Returns.order returned 2 rows in the first epoch and 1 in epoch 2: every epoch must have"
            " the same number",
        ),
    ],
)
def test_what_a_sampler_returns_is_checked(answers: Any, sentence: str) -> None:
    def second_epoch() -> None:
        loader = made(images(10), sampler=Returns(*answers), val_fraction=0).train_dataloader()
        loader.set_epoch(1)
        next(iter(loader))

    with pytest.raises(SettingError) as refusal:
        second_epoch()
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"sampler": "balanced", "shuffle": False},
            "data.shuffle=false has no effect with data.sampler, which decides the order: leave it out",
        ),
        ({"sampler": object()}, "data.sampler: object has no method order(labels, rows, seed, epoch)"),
        (
            {"sampler": Twice(1), "batch_size": 50, "drop_last": True},
            "data.batch_size=50 is larger than the 9 training images, and data.drop_last=true leaves out the"
            " only batch: use a"
            " smaller batch or data.drop_last=false",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError) as refusal:
        made(images(10), **options)
    assert str(refusal.value) == sentence


# Further tensors ---------------------------------------------------------------------------------------------------


def test_further_tensors_follow_the_images() -> None:
    ages = torch.arange(50.0).unsqueeze(1)
    train = images(50)._replace(extra={"age": ages, "place": torch.arange(50)})
    module = made(train, images(20)._replace(extra={"age": -ages[:20], "place": torch.arange(20)}), limit=10)
    kept = torch.arange(10) * 5
    assert torch.equal(module.parts["train"].extra["age"], ages[kept])
    batch = first(module.train_dataloader())
    assert torch.equal(batch.extra["age"], ages[kept][batch.rows])
    assert torch.equal(batch.extra["place"], kept[batch.rows])
    moved = module.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert {each.device.type for each in moved.extra.values()} == {"meta"}
    assert torch.equal(module.on_after_batch_transfer(batch, 0).extra["age"], batch.extra["age"])
    assert torch.equal(first(module.test_dataloader()).extra["age"], -ages[:20:2])
    assert first(made().train_dataloader()).extra == {}


def test_other_further_tensors_are_another_content() -> None:
    plain = images(10)
    contents = [with_content_hash(each).content for each in (plain, plain._replace(extra={"age": torch.arange(10)}))]
    contents.append(with_content_hash(plain._replace(extra={"age": torch.arange(1, 11)})).content)
    assert len(set(contents)) == 3

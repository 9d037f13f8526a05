"""What every data set shares: division, limits, shapes, normalisation, augmentation."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labbook.data import datamodule as base
from labbook.data import resize as pixels
from labbook.data.datamodule import ImageDataModule, Images
from labbook.errors import SettingError
from tests.data.samples import Made, few, first, images, loaders, made, prepared


def rows(module: ImageDataModule, split: str) -> list[int]:
    return module.rows[split].tolist()


# Training, validation and test part ------------------------------------------------------------------------------


@few
@given(
    count=st.integers(1, 60),
    val_fraction=st.floats(0, 0.9),
    val_split=st.sampled_from(["random", "last"]),
    val_seed=st.integers(0, 3),
)
def test_training_and_validation_part_are_disjoint_and_complete(
    count: int, val_fraction: float, val_split: Any, val_seed: int
) -> None:
    if round(count * val_fraction) == count:
        return
    module = made(images(count), val_fraction=val_fraction, val_split=val_split, val_seed=val_seed)
    assert sorted(rows(module, "train") + rows(module, "val")) == list(range(count))
    assert len(rows(module, "val")) == round(count * val_fraction)
    assert rows(module, "train") == sorted(rows(module, "train"))


def test_the_tail_is_the_last_images() -> None:
    module = made(val_split="last", val_fraction=0.2)
    assert rows(module, "train") == list(range(40))
    assert rows(module, "val") == list(range(40, 50))


def test_the_random_part_depends_on_its_own_seed_and_not_on_the_runs() -> None:
    parts = [rows(made(seed=seed), "val") for seed in (1, 2)]
    assert parts[0] == parts[1] != list(range(45, 50))
    assert rows(made(val_seed=1), "val") != parts[0]


def test_validating_on_the_test_set_keeps_the_whole_training_set() -> None:
    module = made(validation="test", val_fraction=0.5)
    assert rows(module, "train") == list(range(50))
    validated, tested = [torch.cat([prepared(module, batch) for batch in loader]) for loader in loaders(module)[1:]]
    assert torch.equal(validated, module.spec.normalize(Made.test.pixels))
    assert torch.equal(tested, module.spec.normalize(Made.test.pixels))


def test_each_split_hands_out_its_own_images_and_the_test_set_is_never_trained_on() -> None:
    module = made(val_fraction=0.2, batch_size=7, val_split="last")
    parts = [torch.cat([prepared(module, batch) for batch in loader]) for loader in loaders(module)]
    assert torch.equal(parts[1], module.spec.normalize(Made.train.pixels[40:]))
    assert torch.equal(parts[2], module.spec.normalize(Made.test.pixels))
    trained = {tuple(image.flatten().tolist()) for image in parts[0]}
    assert trained == {tuple(image.flatten().tolist()) for image in module.spec.normalize(Made.train.pixels[:40])}


def test_without_a_validation_part_nothing_is_validated() -> None:
    module = made(val_fraction=0)
    assert module.val_dataloader() == []
    assert module.notes == []
    module.test_split = "val"
    with pytest.raises(SettingError) as refusal:
        module.test_dataloader()
    assert str(refusal.value) == (
        "there are no validation images to test on, because data.val_fraction=0 of 50 images is none: choose"
        " test or train"
    )


def test_a_part_for_validation_without_an_image_is_told() -> None:
    assert made(val_fraction=0.1, limit=4).notes == [
        "data.val_fraction=0.1 of 4 images is none: the last epoch is tested"
    ]
    assert made(val_fraction=0.1, limit=4, validation="test").notes == []


def test_only_training_batches_are_shuffled() -> None:
    module = made(val_fraction=0.4, batch_size=100)
    train, val, test = [first(loader).rows.tolist() for loader in loaders(module)]
    assert train != rows(module, "train")
    assert sorted(train) == rows(module, "train")
    assert val == rows(module, "val")
    assert test == rows(module, "test")
    assert first(made(shuffle=False, batch_size=100).train_dataloader()).rows.tolist() == rows(made(), "train")


def test_the_training_part_can_be_tested_as_it_is() -> None:
    module = made(augment=["flip", "crop"], batch_size=100)
    module.test_split = "train"
    batch = first(module.test_dataloader())
    assert batch.rows.tolist() == rows(module, "train")
    assert torch.equal(prepared(module, batch), module.spec.normalize(Made.train.pixels[batch.rows]))


def test_limit_takes_images_evenly_spread_over_both_parts() -> None:
    module = made(limit=10, val_fraction=0.2)
    assert sorted(rows(module, "train") + rows(module, "val")) == list(range(10))
    assert torch.equal(module.parts["train"].pixels, Made.train.pixels[::5])
    assert torch.equal(module.parts["test"].labels, Made.test.labels[::2])
    assert len(rows(made(limit=1000), "test")) == 20


def test_a_division_that_leaves_nothing_to_train_on_is_refused() -> None:
    module = Made(val_fraction=0.9, limit=3)
    for _ in range(2):  # asking again does not help
        with pytest.raises(SettingError) as refusal:
            module.setup()
        assert str(refusal.value) == "data.val_fraction=0.9 leaves none of 3 images for training"


def test_a_batch_larger_than_the_set_is_refused_if_only_whole_batches_count() -> None:
    with pytest.raises(SettingError) as refusal:
        made(batch_size=64, drop_last=True)
    assert str(refusal.value) == (
        "data.batch_size=64 is larger than the 45 training images, and data.drop_last=true leaves out the only"
        " batch: use a smaller batch or data.drop_last=false"
    )
    assert len(made(batch_size=45, drop_last=True).train_dataloader()) == 1
    assert len(made(batch_size=64).train_dataloader()) == 1


def test_the_last_batch_is_dropped_in_training_only() -> None:
    assert [len(loader) for loader in loaders(made(batch_size=8, drop_last=True, val_fraction=0.2))] == [5, 2, 3]


# Reading -----------------------------------------------------------------------------------------------------------


def test_a_set_is_read_once_in_a_process() -> None:
    module = made(batch_size=5)
    kind = type(module)
    other = kind(batch_size=7, seed=1, val_seed=1, normalize="unit")
    other.prepare_data()
    other.setup()
    module.setup()
    assert kind.reads == 1
    assert other.parts["train"].pixels.data_ptr() == module.parts["train"].pixels.data_ptr()


@pytest.mark.parametrize("options", [{"image_size": 5}, {"channels": 1}, {"root": "elsewhere"}, {"limit": 8}])
def test_other_sources_are_read_again(options: dict[str, Any]) -> None:
    kind = type(made())
    kind(**options).setup()
    assert kind.reads == 2


def test_two_kinds_of_set_are_not_mixed_up() -> None:
    assert len(made(images(9), val_fraction=0).rows["train"]) == 9
    assert len(made(images(8), val_fraction=0).rows["train"]) == 8


class Noise(ImageDataModule):
    """A set of one's own with arguments of its own."""

    class_names = ("heads", "tails")
    native_size = 4
    native_channels = 1
    mean, std = (0.5,), (0.3,)

    def __init__(self, count: int = 4, *, shades: Any = None, seed: int = 0, **options: Any) -> None:
        self.count, self.shades, self.noise_seed = count, shades, seed
        super().__init__(seed=seed, **options)

    def read(self) -> tuple[Images, Images]:
        part = images(self.count, 1, 4, 2, seed=self.noise_seed)
        return part, part


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Noise(count=4), Noise(count=6)),
        (Noise(4), Noise(6)),
        (Noise(shades=[1, {"a": [2]}]), Noise(shades=[1, {"a": [3]}])),
        (Noise(shades=torch.zeros(2)), Noise(shades=torch.ones(2))),
        (Noise(seed=1), Noise(seed=2)),
    ],
)
def test_arguments_of_ones_own_are_another_source(one: Noise, other: Noise) -> None:
    assert one.load() is one.load()
    assert other.load() is not one.load()
    assert len(other.load()[0].labels) == other.count


def test_only_the_sets_read_last_are_remembered() -> None:
    kind = type(made())
    for size in (5, 4, 3):
        kind(image_size=size).setup()
    assert len(base._recent) == base.RECENT
    kind(image_size=3).setup()
    assert kind.reads == 4
    kind().setup()
    assert kind.reads == 5


def test_images_are_left_out_before_they_are_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "machine_memory", lambda: 4 * 3 * 50 * 50)
    assert made(images(9), limit=4, image_size=50).parts["train"].pixels.shape == (4, 3, 50, 50)
    with pytest.raises(SettingError, match=r"^9 images of 3 x 50 x 50 pixels take 0\.0 GB and .*data\.image_size, or"):
        made(images(9), image_size=50)


def test_a_home_folder_may_be_written_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert Made(root="~/images").root == "/home/ada/images"

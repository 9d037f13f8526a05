"""What every data set shares: division, limits, shapes, normalisation, augmentation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from labbook.data import module as base
from labbook.data.augment import Draw
from labbook.data.loader import Batch, TensorLoader
from labbook.data.module import ImageDataModule, Images
from labbook.data.normalization import IMAGENET_MEAN, IMAGENET_STD
from labbook.data.randomness import generator
from labbook.errors import SettingError
from tests.data.samples import Made, few, images, made, noise


def rows(module: ImageDataModule, split: str) -> list[int]:
    return module.rows[split].tolist()


def prepared(module: ImageDataModule, batch: Batch) -> Tensor:
    """The images as a model gets them."""
    return module.on_after_batch_transfer(batch, 0).images


def first(loader: Any) -> Batch:
    return next(iter(loader))


# Training, validation and test part ------------------------------------------------------------------------------


@few
@given(
    count=st.integers(1, 60),
    val_fraction=st.floats(0, 0.9),
    val_from=st.sampled_from(["random", "tail"]),
    val_seed=st.integers(0, 3),
)
def test_training_and_validation_part_are_disjoint_and_complete(
    count: int, val_fraction: float, val_from: Any, val_seed: int
) -> None:
    if round(count * val_fraction) == count:
        return
    module = made(images(count), val_fraction=val_fraction, val_from=val_from, val_seed=val_seed)
    assert sorted(rows(module, "train") + rows(module, "val")) == list(range(count))
    assert len(rows(module, "val")) == round(count * val_fraction)
    assert rows(module, "train") == sorted(rows(module, "train"))


def test_the_tail_is_the_last_images() -> None:
    module = made(val_from="tail", val_fraction=0.2)
    assert rows(module, "train") == list(range(40))
    assert rows(module, "val") == list(range(40, 50))


def test_the_random_part_depends_on_its_own_seed_and_not_on_the_runs() -> None:
    parts = [rows(made(seed=seed), "val") for seed in (1, 2)]
    assert parts[0] == parts[1] != list(range(45, 50))
    assert rows(made(val_seed=1), "val") != parts[0]


def test_validating_on_the_test_set_keeps_the_whole_training_set() -> None:
    module = made(validate_on="test", val_fraction=0.5)
    assert rows(module, "train") == list(range(50))
    validated, tested = [torch.cat([prepared(module, batch) for batch in loader]) for loader in loaders(module)[1:]]
    assert torch.equal(validated, module.spec.normalize(Made.test.pixels))
    assert torch.equal(tested, module.spec.normalize(Made.test.pixels))


def loaders(module: ImageDataModule) -> list[Any]:
    return [module.train_dataloader(), module.val_dataloader(), module.test_dataloader()]


def test_each_split_hands_out_its_own_images_and_the_test_set_is_never_trained_on() -> None:
    module = made(val_fraction=0.2, batch_size=7, val_from="tail")
    parts = [torch.cat([prepared(module, batch) for batch in loader]) for loader in loaders(module)]
    assert torch.equal(parts[1], module.spec.normalize(Made.train.pixels[40:]))
    assert torch.equal(parts[2], module.spec.normalize(Made.test.pixels))
    trained = {tuple(image.flatten().tolist()) for image in parts[0]}
    assert trained == {tuple(image.flatten().tolist()) for image in module.spec.normalize(Made.train.pixels[:40])}


def test_without_a_validation_part_there_is_nothing_to_validate_on() -> None:
    assert made(val_fraction=0).val_dataloader() == []


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
        "data.batch_size=64 is larger than the 45 training images, and data.drop_last=true leaves the only batch out:"
        " use a smaller batch or drop_last=false"
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
    kind(limit=8).setup()
    assert kind.reads == 1
    assert other.parts["train"].pixels.data_ptr() == module.parts["train"].pixels.data_ptr()


@pytest.mark.parametrize("options", [{"image_size": 5}, {"channels": 1}, {"root": "elsewhere"}])
def test_other_sources_are_read_again(options: dict[str, Any]) -> None:
    kind = type(made())
    kind(**options).setup()
    assert kind.reads == 2


def test_two_kinds_of_set_are_not_mixed_up() -> None:
    assert len(made(images(9), val_fraction=0).rows["train"]) == 9
    assert len(made(images(8), val_fraction=0).rows["train"]) == 8


def test_only_the_sets_read_last_are_remembered() -> None:
    kind = type(made())
    for size in (5, 4, 3):
        kind(image_size=size).setup()
    assert len(base._recent) == base.RECENT
    kind(image_size=3).setup()
    assert kind.reads == 4
    kind().setup()
    assert kind.reads == 5


def test_a_home_folder_may_be_written_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert Made(root="~/images").root == "/home/ada/images"


# Shape and normalisation -------------------------------------------------------------------------------------------

GREY, COLOUR = images(12, channels=1), images(12, channels=3)
NORMALIZE = ["unit", "half", "dataset", "imagenet", {"mean": [0.5], "std": [0.2]}]


@pytest.mark.parametrize("native", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("image_size", [None, 4, 9])
@pytest.mark.parametrize("normalize", NORMALIZE, ids=str)
def test_the_spec_says_what_batches_are(native: Images, channels: Any, image_size: int | None, normalize: Any) -> None:
    if isinstance(normalize, dict):
        normalize = {key: value * (channels or native.pixels.shape[1]) for key, value in normalize.items()}
    module = made(native, native, channels=channels, image_size=image_size, normalize=normalize)
    spec = module.spec
    assert spec.channels == (channels or native.pixels.shape[1])
    assert spec.size == (image_size or 6)
    assert spec.class_names == Made.class_names
    assert len(spec.mean) == len(spec.std) == spec.channels
    for loader, part in zip(loaders(module)[::2], ("train", "test"), strict=True):
        batch = first(loader)
        pixels = module.parts[part].pixels[batch.rows]
        result = prepared(module, batch)
        assert result.dtype == torch.float32
        assert result.shape == (len(batch.rows), spec.channels, spec.size, spec.size)
        mean, std = [torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (spec.mean, spec.std)]
        torch.testing.assert_close(result.double(), (pixels / 255 - mean) / std, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("normalize", "channels", "mean", "std"),
    [
        ("unit", 3, (0, 0, 0), (1, 1, 1)),
        ("half", 1, (0.5,), (0.5,)),
        ("dataset", 3, Made.mean, Made.std),
        ("dataset", 1, (0.2,), (0.5,)),
        ("imagenet", 3, IMAGENET_MEAN, IMAGENET_STD),
        ("imagenet", 1, (0.449,), (0.226,)),
        ({"mean": [1, 2, 3], "std": [4, 5, 6]}, 3, (1, 2, 3), (4, 5, 6)),
    ],
    ids=str,
)
def test_each_name_of_normalize_has_its_figures(normalize: Any, channels: Any, mean: Any, std: Any) -> None:
    spec = Made(normalize=normalize, channels=channels).spec
    assert spec.mean == pytest.approx(mean)
    assert spec.std == pytest.approx(std)


@pytest.mark.parametrize(
    "normalize",
    [
        {"mean": [0.5], "std": [0.5, 0.5, 0.5]},
        {"mean": [0.5, 0.5, 0.5], "std": [0.5]},
        {"mean": [0.5, 0.5, 0.5]},
        {},
        {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.0, 0.5]},
        {"mean": [0.5, 0.5, 0.5], "std": [0.5, -1, 0.5]},
    ],
    ids=str,
)
def test_figures_that_do_not_fit_the_channels_are_refused(normalize: Any) -> None:
    with pytest.raises(SettingError) as refusal:
        Made(normalize=normalize)
    assert str(refusal.value) == "data.normalize needs mean and std with 3 numbers each (one a channel), std above 0"


def test_a_set_without_figures_of_its_own_says_so() -> None:
    class Unknown(Made):
        mean = std = ()

    with pytest.raises(SettingError) as refusal:
        Unknown()
    assert str(refusal.value) == (
        "data.normalize=dataset: this set has no known figures; choices: half, imagenet, unit or mean and std"
    )
    assert Unknown(normalize="half").spec.mean == (0.5, 0.5, 0.5)


def test_grey_shown_in_colour_has_the_same_shade_in_every_channel() -> None:
    shown = base.shaped(GREY.pixels, 6, 3)
    assert shown.shape == (12, 3, 6, 6)
    for channel in range(3):
        assert torch.equal(shown[:, channel], GREY.pixels[:, 0])


def test_colour_shown_in_grey_is_what_pillow_makes_of_it() -> None:
    shown = base.shaped(COLOUR.pixels, 6, 1)
    assert shown.dtype == torch.uint8
    for image, grey in zip(COLOUR.pixels, shown, strict=True):
        expected = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert np.abs(grey[0].numpy().astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [3, 7, 16])
def test_another_size_is_what_pillow_makes_of_it(size: int) -> None:
    shown = base.shaped(COLOUR.pixels, size, 3)
    assert shown.dtype == torch.uint8
    for image, resized in zip(COLOUR.pixels, shown, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size), Image.Resampling.BILINEAR)
        assert np.abs(resized.permute(1, 2, 0).numpy().astype(int) - np.asarray(picture)).max() <= 2


def test_a_large_set_is_converted_piece_by_piece_without_losing_an_image() -> None:
    pixels = noise(4099, 3, 2, 2)
    shown = base.shaped(pixels, 3, 1)
    assert len(shown) == 4099
    assert torch.equal(shown[4090:], base.shaped(pixels[4090:], 3, 1))


# Augmentation ------------------------------------------------------------------------------------------------------


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
    assert base.AUGMENTED // batch.images[0].numel() == 1
    random = generator(batch.images.device, module.seed, 0, 0, 0)
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
        patch.setattr(base, "AUGMENTED", at_once)
        patch.setattr("labbook.data.loader.AT_ONCE", at_once)
        some = seen()
    for one, other in zip(some, seen(), strict=True):
        assert torch.equal(one, other)


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
    assert base.fits(noise(1, 3, 10, 10), torch.device("cuda")) is fits


def test_on_a_cpu_nothing_is_copied() -> None:
    for resident in ("auto", True, False):
        loader = made(resident=resident).train_dataloader()
        assert isinstance(loader, TensorLoader)
        assert loader.images.data_ptr() == Made.train.pixels.data_ptr()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("resident", ["auto", True, False])
def test_on_a_gpu_batches_are_those_of_the_cpu(resident: Any) -> None:
    device = torch.device("cuda")
    module, reference = made(resident=resident), made()
    module.trainer = trainer_on(device)
    loader = module.train_dataloader()
    assert isinstance(loader, TensorLoader)
    assert loader.images.is_cuda == (resident is not False)
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

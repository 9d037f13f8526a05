"""The shape of batches and the statistics that they are normalized with."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from labbook.data import datamodule as base
from labbook.data.datamodule import Images
from labbook.data.image_spec import IMAGENET_MEAN, IMAGENET_STD
from labbook.errors import SettingError
from tests.cases import each_case
from tests.data.samples import Made, first, images, loaders, made, noise, prepared

GREY, COLOUR = images(12, channels=1), images(12, channels=3)
NORMALIZE = ["unit", "half", "dataset", "imagenet", {"mean": [0.5], "std": [0.2]}]


@each_case("native", [GREY, COLOUR])
@each_case("channels", [None, 1, 3])
@each_case("image_size", [None, 4, 9])
@each_case("normalize", NORMALIZE)
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
        "data.normalize=dataset: this data set has no known mean and std; choices: half, imagenet, unit or mean and std"
    )
    assert Unknown(normalize="half").spec.mean == (0.5, 0.5, 0.5)


def test_grey_shown_in_colour_has_the_same_shade_in_every_channel() -> None:
    shown = base.resize_and_convert(GREY.pixels, 6, 3)
    assert shown.shape == (12, 3, 6, 6)
    for channel in range(3):
        assert torch.equal(shown[:, channel], GREY.pixels[:, 0])


def test_colour_shown_in_grey_is_what_pillow_makes_of_it() -> None:
    shown = base.resize_and_convert(COLOUR.pixels, 6, 1)
    assert shown.dtype == torch.uint8
    for image, grey in zip(COLOUR.pixels, shown, strict=True):
        expected = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert np.abs(grey[0].numpy().astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [1, 3, 7, 16])
def test_another_size_is_what_pillow_makes_of_it(size: int) -> None:
    shown = base.resize_and_convert(COLOUR.pixels, size, 3)
    assert shown.dtype == torch.uint8
    for image, resized in zip(COLOUR.pixels, shown, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size), Image.Resampling.BILINEAR)
        assert np.abs(resized.permute(1, 2, 0).numpy().astype(int) - np.asarray(picture)).max() <= 2


def test_a_large_set_is_converted_piece_by_piece_without_losing_an_image() -> None:
    pixels = noise(4099, 3, 2, 2)
    shown = base.resize_and_convert(pixels, 3, 1)
    assert len(shown) == 4099
    assert torch.equal(shown[4090:], base.resize_and_convert(pixels[4090:], 3, 1))

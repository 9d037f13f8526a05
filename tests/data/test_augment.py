"""Batched augmentation against a plain reference, one image at a time."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as reference

from labbook.data.augment import TRANSFORMS, Draw, Transform, parse_transforms
from labbook.data.augment import basic as augment
from labbook.data.augment.basic import AlternatingFlip, Crop, Erasing, Flip, ReflectCrop, Rotation
from labbook.errors import SettingError
from tests.cases import each_case
from tests.data.samples import few, noise

SHAPES = st.tuples(st.integers(1, 6), st.sampled_from([1, 3]), st.integers(3, 17), st.integers(3, 17))
ALL = [Flip(), AlternatingFlip(), Crop(3), ReflectCrop(3), Rotation(30), Erasing(0.9)]
EACH = pytest.mark.parametrize("transform", ALL, ids=lambda item: type(item).__name__)


NAMES = f"choices: {', '.join(sorted(TRANSFORMS))}"


def draws(seed: int = 0, epoch: int = 0, count: int = 5000) -> Draw:
    """For the images of the rows 0, 1 and so on."""
    return Draw(torch.Generator().manual_seed(seed), torch.arange(count), epoch, seed)


@few
@given(shape=SHAPES, padding=st.integers(1, 5), data=st.data())
def test_crop_is_pad_and_crop_of_each_image(shape: tuple[int, ...], padding: int, data: st.DataObject) -> None:
    images = noise(*shape)
    n, _, height, width = shape
    offsets = st.lists(st.integers(0, 2 * padding), min_size=n, max_size=n)
    top, left = data.draw(offsets), data.draw(offsets)
    cropped = augment.windows(
        Crop(padding).padded(images, padding), torch.tensor(top), torch.tensor(left), height, width
    )
    for index, image in enumerate(images):
        padded = reference.pad(image, [padding])
        assert torch.equal(cropped[index], reference.crop(padded, top[index], left[index], height, width))


@few
@given(shape=SHAPES, data=st.data())
def test_reflect_crop_is_numpys_reflection_and_a_crop_of_each_image(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    images = noise(*shape)
    n, _, height, width = shape
    padding = data.draw(st.integers(1, min(height, width) - 1))
    offsets = st.lists(st.integers(0, 2 * padding), min_size=n, max_size=n)
    top, left = data.draw(offsets), data.draw(offsets)
    padded_images = ReflectCrop(padding).padded(images, padding)
    cropped = augment.windows(padded_images, torch.tensor(top), torch.tensor(left), height, width)
    assert cropped.dtype == torch.uint8
    for index, image in enumerate(images):
        padded = np.pad(image.numpy(), [(0, 0), (padding, padding), (padding, padding)], mode="reflect")
        expected = padded[:, top[index] : top[index] + height, left[index] : left[index] + width]
        assert np.array_equal(cropped[index].numpy(), expected)


def test_both_crops_draw_the_same_places() -> None:
    images = noise(50, 3, 9, 9)
    inside = (slice(None), slice(None), slice(4, 5), slice(4, 5))  # which no border reaches
    assert torch.equal(Crop(4)(images, draws(count=50))[inside], ReflectCrop(4)(images, draws(count=50))[inside])


def test_an_alternating_flip_shows_the_other_side_in_every_epoch() -> None:
    images = noise(1000, 3, 2, 4)
    shown = [AlternatingFlip()(images, draws(7, epoch, 1000)) for epoch in range(4)]
    assert torch.equal(shown[1], shown[0].flip(-1))
    assert torch.equal(shown[2], shown[0])
    assert torch.equal(shown[3], shown[1])
    mirrored = (shown[0] == images.flip(-1)).flatten(1).all(1)
    assert 450 <= mirrored.sum() <= 550


def test_an_alternating_flip_belongs_to_the_image_and_not_to_its_place() -> None:
    images, order = noise(100, 1, 2, 3), torch.randperm(100)
    shown = AlternatingFlip()(images, draws(count=100))
    assert torch.equal(AlternatingFlip()(images[order], draws(5)._replace(rows=order, seed=0)), shown[order])


@few
@given(shape=SHAPES, data=st.data())
def test_rotation_is_that_of_each_image(shape: tuple[int, ...], data: st.DataObject) -> None:
    images = noise(*shape)
    degrees = data.draw(st.lists(st.floats(-180, 180, width=32), min_size=shape[0], max_size=shape[0]))
    rotated = augment.rotate(images, torch.tensor(degrees))
    for index, image in enumerate(images):
        expected = reference.rotate(image.float(), degrees[index], InterpolationMode.BILINEAR)
        # A pixel whose place falls on the very edge may count as outside in one and as inside in the other.
        off = (rotated[index] - expected).abs() > 0.05
        assert off.float().mean() <= (0.1 if degrees[index] % 45 == 0 else 0.02), degrees[index]


def test_a_quarter_turn_is_counter_clockwise() -> None:
    images = noise(2, 3, 8, 8)
    turned = augment.rotate(images, torch.tensor([90.0, 0.0]))
    torch.testing.assert_close(turned[0], images[0].rot90(1, (1, 2)).float(), atol=0.01, rtol=0)
    torch.testing.assert_close(turned[1], images[1].float(), atol=0.01, rtol=0)


def test_rotation_draws_from_the_whole_range(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Tensor] = []
    monkeypatch.setattr(augment, "rotate", lambda images, degrees: asked.append(degrees))
    Rotation(20)(noise(2000, 1, 1, 1), draws())
    assert asked[0].abs().max() <= 20
    assert asked[0].min() < -19
    assert asked[0].max() > 19
    assert abs(asked[0].mean()) < 1


def test_crop_reaches_every_offset() -> None:
    single = torch.zeros(3000, 1, 5, 5, dtype=torch.uint8)
    single[:, :, 2, 2] = 1
    places = Crop(2)(single, draws(count=3000)).flatten(1).argmax(1).unique()
    assert len(places) == 25


@pytest.mark.parametrize(
    ("probability", "low", "high"), [(0.0, 0, 0), (0.5, 450, 550), (0.9, 860, 940), (1.0, 1000, 1000)]
)
def test_flip_mirrors_as_many_as_asked(probability: float, low: int, high: int) -> None:
    images = noise(1000, 3, 2, 4)
    flipped = Flip(probability)(images, draws(count=1000))
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    assert torch.equal(flipped[~mirrored], images[~mirrored])
    assert low <= mirrored.sum() <= high


def boxes(images: Tensor, after: Tensor) -> Tensor:
    """Top, left, height and width (int64 [n, 4]) of what is another colour; made sure that it is a whole box."""
    changed = (after != images).all(1)
    rows, columns = changed.any(2), changed.any(1)
    assert torch.equal(changed, rows.unsqueeze(2) & columns.unsqueeze(1))
    for line in (rows, columns):
        edges = (line[:, 1:] ^ line[:, :-1]).sum(1) + line[:, 0] + line[:, -1]
        assert ((edges == 2) | (edges == 0)).all()  # in one piece
    return torch.stack([rows.int().argmax(1), columns.int().argmax(1), rows.sum(1), columns.sum(1)], 1)


def two_colours(count: int, height: int, width: int) -> Tensor:
    """Every channel has pixels of two values, neither of which is their mean."""
    checks = (torch.arange(height).view(-1, 1) + torch.arange(width)) % 2
    return (torch.tensor([10, 60, 110]).view(1, 3, 1, 1) + 100 * checks).to(torch.uint8).repeat(count, 1, 1, 1)


def test_what_is_erased_is_a_box_with_the_mean_of_its_image() -> None:
    images = two_colours(500, 32, 32)
    after = Erasing(1.0)(images, draws(count=500))
    top, left, height, width = boxes(images, after).T
    area, ratio = height * width / 32**2, height / width
    assert 0.015 < area.min() < 0.06
    assert 0.35 < area.max() < 0.43
    assert 0.25 < ratio.min() < 0.4
    assert 2.5 < ratio.max() < 3.9
    assert abs((ratio > 1).float().mean() - (ratio < 1).float().mean()) < 0.12
    for start, length in ((top, height), (left, width)):
        assert start.min() == 0
        assert (start + length).max() == 32
    assert torch.equal(after.amax((2, 3)), images.amax((2, 3)))
    inside = (after != images).any(1)
    for channel, mean in enumerate((60, 110, 160)):
        assert (after[:, channel][inside] == mean).all()


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_as_many_are_erased_as_asked(probability: float) -> None:
    images = two_colours(1000, 12, 20)
    erased = (Erasing(probability)(images, draws(count=1000)) != images).flatten(1).any(1)
    assert erased.float().mean() == pytest.approx(probability, abs=0.05)


@few
@given(shape=SHAPES, data=st.data())
def test_erased_is_the_box_of_each_image(shape: tuple[int, ...], data: st.DataObject) -> None:
    images = noise(*shape).float()
    n, _, height, width = shape
    lists = [st.lists(st.integers(0, side), min_size=n, max_size=n) for side in (height, width)]
    top, left, rows, columns = (torch.tensor(data.draw(each)) for each in (*lists, *lists))
    after = augment.erase_boxes(images, top, left, rows, columns)
    for index, image in enumerate(images):
        expected = image.clone()
        box = expected[:, top[index] : top[index] + rows[index], left[index] : left[index] + columns[index]]
        box[:] = image.mean((1, 2)).view(-1, 1, 1)
        torch.testing.assert_close(after[index], expected)


@EACH
def test_each_image_has_its_own_draw(transform: Transform) -> None:
    same = noise(1, 1, 12, 12).expand(64, -1, -1, -1)
    results = {tuple(image.flatten().tolist()) for image in transform(same, draws(count=64))}
    assert len(results) >= (2 if isinstance(transform, (Flip, AlternatingFlip)) else 25)


@EACH
def test_the_draw_decides(transform: Transform) -> None:
    images = noise(16, 3, 8, 8)
    first = transform(images, draws(1, count=16))
    assert torch.equal(transform(images, draws(1, count=16)), first)
    assert not torch.equal(transform(images, draws(2, count=16)), first)


@EACH
@each_case("shape", [(4, 1, 8, 8), (3, 3, 5, 9), (1, 3, 1, 1)])
@each_case("dtype", [torch.uint8, torch.float32])
def test_shape_and_scale_stay_and_the_images_are_not_written_to(
    transform: Transform, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    images = noise(*shape).to(dtype)
    if isinstance(transform, ReflectCrop) and shape[-1] == 1:
        pytest.skip("one pixel has nothing to mirror")
    before = images.clone()
    after = transform(images, draws(count=shape[0]))
    assert after.shape == images.shape
    assert after.dtype == (torch.float32 if isinstance(transform, Rotation) else dtype)
    assert torch.equal(images, before)
    assert 0 <= after.min() <= after.max() <= 255.01


def test_a_list_becomes_transforms_in_its_order() -> None:
    assert parse_transforms([], 8) == ()
    assert parse_transforms(["flip", {"crop": 2}, {"rotation": 1.5}], 8) == (Flip(0.5), Crop(2), Rotation(1.5))
    assert parse_transforms(["crop", "rotation", {"flip": 0.25}], 8) == (Crop(4), Rotation(10), Flip(0.25))
    assert parse_transforms([{"flip": 1, "crop": 1}], 8) == (Flip(1), Crop(1))
    assert parse_transforms(["alternating_flip", {"reflect_crop": 7}], 8) == (AlternatingFlip(), ReflectCrop(7))
    assert parse_transforms(["erasing", {"erasing": 0.1}], 8) == (Erasing(0.5), Erasing(0.1))
    assert ReflectCrop(2) != Crop(2)


@each_case(
    ("item", "sentence"),
    [
        ("flipp", f"data.augment: flipp is unknown; did you mean flip? {NAMES}"),
        ({"sepia": 2}, f"data.augment: sepia is unknown; {NAMES}"),
        ({"flip": 1.5}, "data.augment: flip takes a probability from 0 to 1, not 1.5"),
        ({"flip": -0.1}, "data.augment: flip takes a probability from 0 to 1, not -0.1"),
        ({"crop": 0}, "data.augment: crop takes a padding in whole pixels, at least 1, not 0"),
        ({"crop": 2.5}, "data.augment: crop takes a whole number for padding, not 2.5"),
        ({"crop": float("nan")}, "data.augment: crop takes a whole number for padding, not nan"),
        ({"reflect_crop": 0}, "data.augment: reflect_crop takes a padding in whole pixels, at least 1, not 0"),
        ({"reflect_crop": 8}, "data.augment: reflect_crop takes a padding smaller than the images' 8 pixels, not 8"),
        ({"alternating_flip": 0.5}, "data.augment: alternating_flip takes no amount, not 0.5"),
        ({"erasing": 2}, "data.augment: erasing takes a probability from 0 to 1, not 2"),
        ({"erasing": float("nan")}, "data.augment: erasing takes a probability from 0 to 1, not nan"),
        ({"rotation": 0}, "data.augment: rotation takes degrees above 0 and up to 180, not 0"),
        ({"rotation": 181}, "data.augment: rotation takes degrees above 0 and up to 180, not 181"),
        ({"rotation": float("nan")}, "data.augment: rotation takes degrees above 0 and up to 180, not nan"),
    ],
)
def test_a_wrong_name_or_amount_is_refused(item: Any, sentence: str) -> None:
    with pytest.raises(SettingError) as refusal:
        parse_transforms(["flip", item], 8)
    assert str(refusal.value) == sentence


def test_a_transform_is_named_after_its_class_unless_it_has_a_name() -> None:
    class TwoWords(Transform):
        def __call__(self, images: Tensor, draw: Draw) -> Tensor:
            return images

    class Other(TwoWords):
        name = "mine"

    assert (TwoWords.name, Other.name) == ("two_words", "mine")

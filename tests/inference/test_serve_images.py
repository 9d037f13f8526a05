"""Files and drawings as the network sees them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from labbook.config.compose import compose_config
from labbook.data.decoding import Decoding
from labbook.data.image_spec import ImageSpec
from labbook.data.resize import resize_and_convert
from labbook.errors import SettingError
from labbook.inference.serve import images
from labbook.inference.serve.images import ImageHabits

GREY = ImageSpec(1, 28, ("a", "b"), (0.13,), (0.3,))
COLOUR = ImageSpec(3, 16, ("a", "b"), (0.5,) * 3, (0.2,) * 3)
MNIST = ImageHabits(dark=True, box=20 / 28, size=28)


def drawing(box: tuple[int, int, int, int] | None, colour: str = "black") -> np.ndarray:
    image = Image.new("RGB", (280, 280), "white")
    if box:
        ImageDraw.Draw(image).rectangle(box, fill=colour)
    return np.asarray(image)


def test_a_drawing_is_centred_and_white_on_black() -> None:
    pixels = images.pixels_of_drawing(drawing((10, 150, 49, 249)), GREY, MNIST, invert=True, centre=True)
    assert pixels is not None
    assert (pixels.shape, pixels.dtype) == ((1, 1, 28, 28), torch.uint8)
    rows, columns = (torch.nonzero((pixels[0, 0] > 127).any(axis)).flatten().tolist() for axis in (1, 0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (4, 23, 10, 17)
    assert pixels[0, 0, 0, 0] == 0


def test_a_drawing_stays_where_it_is_and_as_it_is() -> None:
    pixels = images.pixels_of_drawing(drawing((0, 0, 139, 139)), GREY, MNIST, invert=False, centre=False)
    assert pixels is not None
    assert pixels[0, 0, 2, 2] == 0
    assert pixels[0, 0, 2, 26] == pixels[0, 0, 26, 26] == 255


def test_a_drawing_in_colour() -> None:
    content = drawing((0, 0, 279, 139), "red")
    pixels = images.pixels_of_drawing(
        content, COLOUR, ImageHabits(dark=False, box=0, size=32), invert=True, centre=True
    )
    assert pixels is not None
    assert pixels.shape == (1, 3, 16, 16)
    assert pixels[0, :, 0, 5].tolist() == [255, 0, 0]
    assert pixels[0, :, 15, 5].tolist() == [255, 255, 255]


def test_nothing_drawn() -> None:
    assert images.pixels_of_drawing(drawing(None), GREY, MNIST, invert=True, centre=True) is None


def test_a_speck_of_ink_is_not_lost_or_cut_off() -> None:
    ink = torch.zeros(1, 1, 280, 280, dtype=torch.uint8)
    ink[0, 0, 0, 0] = 255
    assert images.centre_ink(ink, 28, 1).sum() > 0
    assert images.centre_ink(torch.full_like(ink, 10), 28, 1).shape == (1, 1, 28, 28)  # nothing but haze


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnist", MNIST),
        ("digits", ImageHabits(True, 1.0, 8)),
        ("cifar10", ImageHabits(False, 0, 32)),
        ("synthetic", ImageHabits(False, 0, 32)),
    ],
)
def test_habits_are_those_of_the_set_whatever_the_normalisation(name: str, expected: ImageHabits) -> None:
    config = compose_config(f"data={name}", "data.normalize=unit")
    spec = ImageSpec(1 if expected.dark else 3, 28, ("a",), (0.0,), (1.0,))
    assert ImageHabits.of(config, spec) == expected


def test_a_file_is_decoded_as_those_of_the_training(tmp_path: Path) -> None:
    Image.new("RGB", (50, 30), (10, 20, 30)).save(tmp_path / "a.png")
    assert images.pixels_of_file(tmp_path / "a.png", COLOUR, Decoding(COLOUR.size, 3))[0, :, 3, 3].tolist() == [
        10,
        20,
        30,
    ]
    (tmp_path / "b.png").write_bytes(b"<script>")
    with pytest.raises(SettingError, match=r"^This file is no image\.$"):
        images.pixels_of_file(tmp_path / "b.png", COLOUR, Decoding(COLOUR.size, 3))
    with pytest.raises(SettingError, match=r"^This file cannot be read \(.*\.$"):
        images.pixels_of_file(tmp_path / "nowhere.png", COLOUR, Decoding(COLOUR.size, 3))


def test_a_file_is_first_made_as_coarse_as_the_images_of_the_set(tmp_path: Path) -> None:
    drawn = torch.randint(0, 256, (100, 100, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(drawn.numpy()).save(tmp_path / "a.png")
    by_nature = images.pixels_of_file(tmp_path / "a.png", replace(COLOUR, size=32), Decoding(32, 3))
    seen = images.pixels_of_file(tmp_path / "a.png", replace(COLOUR, size=64), Decoding(32, 3))
    assert torch.equal(seen, resize_and_convert(by_nature, 64, 3))


def test_light_and_dark_ground() -> None:
    pixels = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    pixels[..., 2:6, 2:6] = 255
    assert not images.has_light_border(pixels)
    assert images.has_light_border(255 - pixels)


def test_what_a_person_sees() -> None:
    pixels = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    pixels[0, 0, 0, 0] = 200
    shown = images.enlarge(pixels)
    assert shown.shape == (364, 364, 3)
    assert shown[12, 12].tolist() == [200] * 3
    assert shown[13, 13].tolist() == [0] * 3
    heat = torch.zeros(28, 28)
    heat[0, 0], heat[1, 1] = 1, -1
    over = images.overlay_heat(pixels, heat)[0]
    assert (over[:, 0, 0].tolist(), over[:, 1, 1].tolist()) == (list(images.FOR), list(images.AGAINST))
    assert over[:, 20, 20].tolist() == [64] * 3

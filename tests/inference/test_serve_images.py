"""Files and drawings as the network sees them."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from labbook.config.compose import compose_config
from labbook.data.image_spec import ImageSpec
from labbook.inference.serve import explain
from labbook.inference.serve.explain import DrawingStyle
from labbook.plots import heat_maps

GREY = ImageSpec(1, 28, ("a", "b"), (0.13,), (0.3,))
COLOUR = ImageSpec(3, 16, ("a", "b"), (0.5,) * 3, (0.2,) * 3)
MNIST = DrawingStyle(dark=True, box=20 / 28, size=28)


def drawing(box: tuple[int, int, int, int] | None, colour: str = "black") -> np.ndarray:
    image = Image.new("RGB", (280, 280), "white")
    if box:
        ImageDraw.Draw(image).rectangle(box, fill=colour)
    return np.asarray(image)


def test_a_drawing_is_centred_and_white_on_black() -> None:
    pixels = MNIST.pixels(drawing((10, 150, 49, 249)), GREY, invert=True, centre=True)
    assert pixels is not None
    assert (pixels.shape, pixels.dtype) == ((1, 1, 28, 28), torch.uint8)
    rows, columns = (torch.nonzero((pixels[0, 0] > 127).any(axis)).flatten().tolist() for axis in (1, 0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (4, 23, 10, 17)
    assert pixels[0, 0, 0, 0] == 0


def test_a_drawing_stays_where_it_is_and_as_it_is() -> None:
    pixels = MNIST.pixels(drawing((0, 0, 139, 139)), GREY, invert=False, centre=False)
    assert pixels is not None
    assert pixels[0, 0, 2, 2] == 0
    assert pixels[0, 0, 2, 26] == pixels[0, 0, 26, 26] == 255


def test_a_drawing_in_colour() -> None:
    content = drawing((0, 0, 279, 139), "red")
    pixels = DrawingStyle(dark=False, box=0, size=32).pixels(content, COLOUR, invert=True, centre=True)
    assert pixels is not None
    assert pixels.shape == (1, 3, 16, 16)
    assert pixels[0, :, 0, 5].tolist() == [255, 0, 0]
    assert pixels[0, :, 15, 5].tolist() == [255, 255, 255]


def test_nothing_drawn() -> None:
    assert MNIST.pixels(drawing(None), GREY, invert=True, centre=True) is None


def test_a_speck_of_ink_is_not_lost_or_cut_off() -> None:
    ink = torch.zeros(1, 1, 280, 280, dtype=torch.uint8)
    ink[0, 0, 0, 0] = 255
    assert explain.centre_ink(ink, 28, 1).sum() > 0
    assert explain.centre_ink(torch.full_like(ink, 10), 28, 1).shape == (1, 1, 28, 28)  # nothing but haze


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnist", MNIST),
        ("digits", DrawingStyle(True, 1.0, 8)),
        ("cifar10", DrawingStyle(False, 0, 32)),
        ("synthetic", DrawingStyle(False, 0, 32)),
    ],
)
def test_habits_are_those_of_the_set_whatever_the_normalisation(name: str, expected: DrawingStyle) -> None:
    config = compose_config(f"data={name}", "data.normalize=unit")
    spec = ImageSpec(1 if expected.dark else 3, 28, ("a",), (0.0,), (1.0,))
    assert DrawingStyle.of(config, spec) == expected


def test_what_a_person_sees() -> None:
    pixels = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    pixels[0, 0, 0, 0] = 200
    shown = heat_maps.enlarge(pixels)
    assert shown.shape == (364, 364, 3)
    assert shown[12, 12].tolist() == [200] * 3
    assert shown[13, 13].tolist() == [0] * 3
    heat = torch.zeros(28, 28)
    heat[0, 0], heat[1, 1] = 1, -1
    over = heat_maps.overlay_heat(pixels, heat)[0]
    assert (over[:, 0, 0].tolist(), over[:, 1, 1].tolist()) == (list(heat_maps.FOR), list(heat_maps.AGAINST))
    assert over[:, 20, 20].tolist() == [64] * 3

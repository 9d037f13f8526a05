"""The digits in the package."""

from importlib.resources import files

import torch

from labbook.data.digits import TEST_EVERY, Digits


def test_counts_and_classes_of_the_official_file() -> None:
    train, test = Digits().load()
    assert (len(train.labels), len(test.labels)) == (1437, 360)
    together = torch.cat([train.labels, test.labels])
    assert torch.bincount(together).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert torch.bincount(test.labels).min() >= 25
    assert torch.bincount(train.labels).min() >= 130


def test_the_parts_are_the_same_for_everyone() -> None:
    """Changing this makes every figure measured before incomparable."""
    _, test = Digits().load()
    assert test.labels[:12].tolist() == [0, 5, 0, 5, 0, 5, 0, 5, 8, 3, 2, 0]
    assert TEST_EVERY == 5


def test_no_test_image_is_a_training_image() -> None:
    train, test = [{tuple(image.flatten().tolist()) for image in part.pixels} for part in Digits().load()]
    assert len(train) == 1437
    assert len(test) == 360
    assert not train & test


def test_the_17_shades_are_spread_over_the_whole_range() -> None:
    train, _ = Digits().load()
    assert train.pixels.dtype == torch.uint8
    assert train.pixels.shape == (1437, 1, 8, 8)
    assert train.pixels.unique().tolist() == [round(shade * 255 / 16) for shade in range(17)]


def test_the_figures_are_those_of_the_training_images() -> None:
    pixels = Digits().load()[0].pixels / 255
    assert abs(pixels.mean() - Digits.mean[0]) < 1e-4
    assert abs(pixels.std() - Digits.std[0]) < 1e-4


def test_source_and_licence_lie_beside_the_file() -> None:
    text = files("labbook.data").joinpath("DIGITS.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in text
    assert "10.24432/C50P49" in text

"""What a run was trained on, compared with what is there later."""

from dataclasses import replace

import pytest
import torch

from labbook.data.data_record import DataRecord, changed_classes
from tests.data.samples import images, made


def test_pixels_labels_classes_and_the_division_are_known_again() -> None:
    record = DataRecord.of(made())
    assert DataRecord.read({"data": record.as_data()}) == replace(
        record, parts={name: replace(part, former="") for name, part in record.parts.items()}
    )
    assert record.changes(DataRecord.of(made(image_size=12, channels=1))) == []
    train = images(50, seed=1)
    pixels = train.pixels.clone()
    pixels[7, 0, 0, 0] ^= 1
    others = train._replace(pixels=pixels), train._replace(labels=train.labels.flip(0))
    for other in others:
        assert record.changes(DataRecord.of(made(train=other))) == ["the training images are different"]
    assert record.changes(DataRecord.of(made(test=images(21, seed=2)))) == ["the test images were 20, now they are 21"]
    assert record.changes(DataRecord.of(made(val_seed=1))) == ["the validation images are different"]


def test_a_run_of_before_says_what_it_noted() -> None:
    """Such runs took the images of a data set in code for the same where the labels were."""
    data = made()
    noted = {"class_names": ["ape", "bee", "cat"], "test_set": DataRecord.of(data).parts["test"].former}
    assert DataRecord.read(noted).changes(DataRecord.of(data)) == []
    other = DataRecord.of(made(test=images(21, seed=2)))
    assert DataRecord.read(noted).changes(other) == ["the test images are different"]
    for damaged in ({}, {"data": 3}, {"data": {"train": {}}}, {"class_names": 3, "test_set": []}):
        assert DataRecord.read(damaged).changes(DataRecord.of(data)) == []


def test_other_images_with_the_labels_of_a_set_that_names_its_content() -> None:
    """As inverted images in the place of MNIST's."""
    train, test = images(50, seed=1)._replace(content="Made"), images(20, seed=2)._replace(content="Made")
    was = DataRecord.read({"data": DataRecord.of(made(train, test, val_split="stratified")).as_data()})
    inverted = [part._replace(pixels=255 - part.pixels, content="own") for part in (train, test)]
    assert was.changes(DataRecord.of(made(*inverted))) == [
        "the training images are different",
        "the test images are different",
    ]


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("ab", "ab", ""),
        ("", "ab", ""),
        ("ab", "ac", "class b is gone and class c is new"),
        ("abc", "ab", "class c is gone"),
        ("abcd", "abef", "classes c, d are gone and classes e, f are new"),
        ("abc", "acb", "the order of the classes was a, b, c and is a, c, b"),
        (["caf\u00e9"], ["cafe\u0301"], ""),
    ],
)
def test_classes_that_changed(was: str, now: str, said: str) -> None:
    assert changed_classes(was, now) == said


def test_a_part_that_is_not_read_is_not_compared() -> None:
    data = made(only="test")
    assert set(DataRecord.of(data).parts) == {"test"}
    assert DataRecord.of(made()).changes(DataRecord.of(data)) == []
    assert torch.equal(data.rows["test"], torch.arange(20))

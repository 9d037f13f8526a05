"""Images to test a network on, held against what it was trained on: classes by name, parts by content."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from omegaconf import DictConfig

from labbook.data.class_folders import to_nfc
from labbook.data.data_record import DataRecord
from labbook.data.datamodule import ImageDataModule, Split
from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError, list_first

# Settings that divide the training images.
DIVISION = ("limit", "test_fraction", "val_fraction", "val_seed", "val_split", "validation")
UNKNOWN = -1  # the number of a class that the network does not know


class ClassMatch(NamedTuple):
    """How the classes of some images and of a network belong together."""

    left_out: dict[str, int]  # classes that the network does not know, and how many images of each were left out
    without_images: list[str]  # classes of the network of which there is no image

    @property
    def notes(self) -> list[str]:
        """What should be said of them."""
        images = [f"{name} ({count:,} images)" for name, count in self.left_out.items()]
        left_out = f"left out, because the network does not know the class: {list_first(images)}"
        missing = f"classes of the network without images here: {list_first(self.without_images)}"
        return [*([left_out] if images else []), *([missing] if self.without_images else [])]


def match_classes(data: ImageDataModule, names: Sequence[str], split: Split) -> ClassMatch:
    """Give the classes of the images of `split` the numbers that a network has for those names.

    Images of other classes are left out of `data.rows`. Names are the same however their accents are encoded.

    Raises:
        SettingError: there is no image of a class that the network knows.
    """
    if data.multilabel:
        if [to_nfc(name) for name in data.class_names] != [to_nfc(name) for name in names]:
            raise SettingError(
                f"images with several classes are tested with the classes of the training, {list_first(names)},"
                f" and the data has {list_first(data.class_names)}"
            )
        return ClassMatch({}, [])
    known = {to_nfc(name): number for number, name in enumerate(names)}
    numbers = torch.tensor([known.get(to_nfc(name), UNKNOWN) for name in data.class_names])
    part, rows = data.part_of(split), data.rows[split]
    images = data.parts[part]
    counts = images.labels[rows].bincount(minlength=len(numbers))
    if bool((numbers[counts > 0] == UNKNOWN).all()):
        raise SettingError(
            f"there is no {split} image of a class that the network knows: the classes of the data are"
            f" {list_first(data.class_names)}, and the network knows {list_first(names)}"
        )
    labels = numbers[images.labels]
    there = set(labels[rows].tolist())
    out = zip(data.class_names, numbers.tolist(), counts.tolist(), strict=True)
    data.rows[split] = rows[labels[rows] != UNKNOWN]
    data.parts[part] = images._replace(labels=labels)
    data.class_names = tuple(names)
    return ClassMatch(
        {name: count for name, number, count in out if number == UNKNOWN and count},
        [name for number, name in enumerate(names) if number not in there],
    )


def check_same_images(data: ImageDataModule, known: ImageSpec) -> None:
    """Refuse images that are shown otherwise than those of the training."""
    seen = data.spec
    for name, now, was in (
        ("image_size", seen.size, known.size),
        ("channels", seen.channels, known.channels),
        ("normalize", (seen.mean, seen.std), (known.mean, known.std)),
    ):
        if now != was:
            told = was if isinstance(was, int) else "mean {} and std {}".format(*map(list, was))
            raise SettingError(
                f"data.{name}: the network was trained with {told}, and all images are preprocessed so: leave it out"
            )


def check_same_division(data: DictConfig, trained: DictConfig, split: Split) -> None:
    """Refuse settings by which the training images would be divided otherwise than in the training."""
    for name in DIVISION if split != "test" else ():
        if name in trained and data.get(name) != trained[name]:
            raise SettingError(
                f"data.{name}={data.get(name)}: the run was trained with {trained[name]}, and --split {split} would"
                " mix training images with others: leave it out"
            )


def check_division(data: ImageDataModule, split: Split, record: DataRecord, own: bool) -> None:
    """Refuse training and validation images that are not those of the run.

    Raises:
        SettingError: the run's images were divided in another way, or (where they are its `own`) have changed.
    """
    now = DataRecord.of(data)
    if data.part_of(split) == "test" or not {"train", "val"} <= record.parts.keys():
        return
    same_images = not record.changes(now, ["train"])
    if changes := record.changes(now, ["train", "val"] if own else ["val"] if same_images else []):
        raise SettingError(
            f"--split {split}: {'; '.join(changes)}, so training images could be tested: restore the images of the"
            " training, or test"
            " on other data with data.root=FOLDER"
        )

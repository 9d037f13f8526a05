"""Checks of the images of a test: classes matched by name, and images compared with those of the training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig

from labbook import experiment
from labbook.config.schema import with_schema_types
from labbook.data.class_folders import to_nfc
from labbook.data.data_record import DataRecord
from labbook.data.datamodule import ImageDataModule, Part, Split
from labbook.data.image_spec import ImageSpec
from labbook.data.split import pixel_digests
from labbook.errors import SettingError, list_first
from labbook.runs.resume import read_run_config
from labbook.runs.run_folder import CONFIG
from labbook.training import capabilities

# Settings that divide the training images.
DIVISION = ("limit", "test_fraction", "val_fraction", "val_seed", "val_split", "validation")
UNKNOWN = -1  # the number of a class that the network does not know


class ClassMatch(NamedTuple):
    """The classes that are not both in the images and in the network."""

    left_out: dict[str, int]  # classes that the network does not know, with their number of images
    without_images: list[str]  # classes of the network without an image

    @property
    def notes(self) -> list[str]:
        images = [f"{name} ({count:,} images)" for name, count in self.left_out.items()]
        left_out = f"left out, because the network does not know the class: {list_first(images)}"
        missing = f"classes of the network without images here: {list_first(self.without_images)}"
        return [*([left_out] if images else []), *([missing] if self.without_images else [])]


def match_classes(data: ImageDataModule, names: Sequence[str], split: Split) -> ClassMatch:
    """Replace the labels of the images of `split` by the network's labels for the same class names.

    Images of other classes are removed from `data.rows`. Names are compared after Unicode normalization.
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
    """Size, channels and normalization must be those of the training."""
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
    """Settings that split the training images must be those of the training."""
    for name in DIVISION if split != "test" else ():
        if name in trained and data.get(name) != trained[name]:
            raise SettingError(
                f"data.{name}={data.get(name)}: the run was trained with"
                f" {'null' if trained[name] is None else trained[name]}, and --split {split} would mix training images"
                " with others: leave it out"
            )


def check_division(data: ImageDataModule, split: Split, record: DataRecord, own: bool) -> None:
    """Training and validation images must be split as in the run, and (if `own`) be unchanged."""
    now = DataRecord.of(data)
    if data.part_of(split) == "test" or not {"train", "val"} <= record.parts.keys():
        return
    if own and (changes := record.changes(now, ["train", "val"])):
        raise SettingError(
            f"--split {split}: {'; '.join(changes)}, so training images could be tested: restore the images of the"
            " training, or test on other data with data.root=FOLDER"
        )
    if not own and not record.changes(now, ["train"]) and record.changes(now, ["val"]):
        raise SettingError(
            f"--split {split}: these are the training images of the run, with another validation part: leave out"
            f" {list_first([f'data.{name}' for name in DIVISION])}"
        )


# Images of the training ---------------------------------------------------------------------------------------------


def find_overlap(path: Path, config: DictConfig, data: ImageDataModule, split: Split, record: DataRecord) -> int | None:
    """The number of images of another data set (`config`) that a run was trained on; None: those are missing.

    Files are compared by their bytes. Images in memory are compared by their pixels, also with files: as the network
    sees them, and as the data set in memory has them.
    """
    trained = read_training_images(path, record)
    if trained is None:
        return None
    found = count_common(trained, data, split)
    if has_files(trained, "train") != has_files(data, split):
        in_memory = data if has_files(trained, "train") else trained
        read = in_memory.decoding_of({}, in_memory.spec)
        original = read.size, read.channels
        if original != (data.image_size, data.channels) and (trained := read_training_images(path, record, original)):
            tested = build_image_data(config, data.only or "test", original)
            tested.setup()
            found = max(found, count_common(trained, tested, split))
    if found and split == "val":
        raise SettingError(
            f"--split val: {found:,} of these {len(data.rows[split]):,} images were used for training: use --split"
            " test, or other images"
        )
    return found


def read_training_images(
    path: Path, record: DataRecord, shape: tuple[int, int] | None = None
) -> ImageDataModule | None:
    """The training images of a run, if they still exist unchanged; see `build_data`."""
    try:
        data = build_image_data(with_schema_types(read_run_config(path), f"{path}/{CONFIG}"), "train", shape)
        if not data.at_hand():
            return None
        data.setup()
    except SettingError:
        return None
    return None if record.changes(DataRecord.of(data), ["train", "val"]) else data


def build_image_data(config: DictConfig, only: Part, shape: tuple[int, int] | None) -> ImageDataModule:
    """The data of a configuration; `shape` replaces the size (pixels) and channels of the images."""
    if shape:
        config = config.copy()
        size, channels = shape
        shown: dict[str, Any] = {"image_size": size, "channels": channels, "augment": []}
        shown |= {"normalize": None, "decode_size": None}
        config.data.update({name: value for name, value in shown.items() if name in config.data})
    return capabilities.require_image_data(experiment.build_data(config, only=only), "evaluate")


def count_common(trained: ImageDataModule, data: ImageDataModule, split: Split) -> int:
    by_file = has_files(trained, "train") and has_files(data, split)
    seen = set(image_digests(trained, "train", by_file))
    return sum(digest in seen for digest in image_digests(data, split, by_file))


def has_files(data: ImageDataModule, split: Split) -> bool:
    return bool(data.parts[data.part_of(split)].files)


def image_digests(data: ImageDataModule, split: Split, by_file: bool) -> Sequence[str]:
    images, rows = data.parts[data.part_of(split)], data.rows[split]
    return [images.digests[row] for row in rows.tolist()] if by_file else pixel_digests(images.pixels[rows])

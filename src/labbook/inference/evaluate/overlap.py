"""Whether a network was trained on images that it is tested on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from labbook import experiment
from labbook.config.schema import with_schema_types
from labbook.data.data_record import DataRecord
from labbook.data.datamodule import ImageDataModule, Part, Split
from labbook.data.split import pixel_digests
from labbook.errors import SettingError
from labbook.runs.resume import read_run_config
from labbook.runs.run_folder import CONFIG
from labbook.training import capabilities


class Overlap(NamedTuple):
    """How many of the images of a test the network was trained on; None: the images of its training are not there."""

    trained_on: int | None

    @property
    def notes(self) -> list[str]:
        """What should be said of them."""
        if self.trained_on is None:
            return ["the training images are missing, so these images could not be compared with them"]
        if not self.trained_on:
            return []
        return [f"{self.trained_on:,} of the images were used for training, so the metrics are too good"]


def find_overlap(path: Path, config: DictConfig, data: ImageDataModule, split: Split, record: DataRecord) -> Overlap:
    """Look for images of another data set, that of `config`, among those that a run was trained on.

    Files are compared by their bytes. Images in memory are compared by their pixels, also with files: as the network
    sees them, and as the data set in memory has them.

    Raises:
        SettingError: validation images that were trained on.
    """
    trained = read_training_images(path, record)
    if trained is None:
        return Overlap(None)
    found = count_common(trained, data, split)
    if has_files(trained, "train") != has_files(data, split):
        in_memory = data if has_files(trained, "train") else trained
        read = in_memory.decoding_of({}, in_memory.spec)
        original = read.size, read.channels
        if original != (data.image_size, data.channels) and (trained := read_training_images(path, record, original)):
            tested = build_data(config, data.only or "test", original)
            tested.setup()
            found = max(found, count_common(trained, tested, split))
    if found and split == "val":
        raise SettingError(
            f"--split val: {found:,} of these {len(data.rows[split]):,} images were used for training: use --split"
            " test, or other images"
        )
    return Overlap(found)


def read_training_images(
    path: Path, record: DataRecord, shape: tuple[int, int] | None = None
) -> ImageDataModule | None:
    """The images that a run was trained on, if they are still there, as they were; see `build_data`."""
    try:
        data = build_data(with_schema_types(read_run_config(path), f"{path}/{CONFIG}"), "train", shape)
        if not data.at_hand():
            return None
        data.setup()
    except SettingError:
        return None
    return None if record.changes(DataRecord.of(data), ["train", "val"]) else data


def build_data(config: DictConfig, only: Part, shape: tuple[int, int] | None) -> ImageDataModule:
    """The data of a configuration, with images of a `shape` (pixels, channels) if one is given."""
    if shape:
        config = config.copy()
        size, channels = shape
        shown: dict[str, Any] = {"image_size": size, "channels": channels, "augment": []}
        shown |= {"normalize": None, "decode_size": None}
        config.data.update({name: value for name, value in shown.items() if name in config.data})
    return capabilities.require_image_data(experiment.build_data(config, only=only), "evaluate")


def count_common(trained: ImageDataModule, data: ImageDataModule, split: Split) -> int:
    """How many images of a split are among those that were trained on."""
    by_file = has_files(trained, "train") and has_files(data, split)
    seen = set(image_digests(trained, "train", by_file))
    return sum(digest in seen for digest in image_digests(data, split, by_file))


def has_files(data: ImageDataModule, split: Split) -> bool:
    """Whether the images of a split are files."""
    return bool(data.parts[data.part_of(split)].files)


def image_digests(data: ImageDataModule, split: Split, by_file: bool) -> Sequence[str]:
    """Those of the images of a split: of their files, or of their pixels."""
    images, rows = data.parts[data.part_of(split)], data.rows[split]
    return [images.digests[row] for row in rows.tolist()] if by_file else pixel_digests(images.pixels[rows])

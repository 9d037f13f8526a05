"""Whether a network was trained on images that it is tested on."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from labbook import experiment
from labbook.config.schema import with_schema_types
from labbook.data.data_record import DataRecord
from labbook.data.datamodule import ImageDataModule, Split
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


def find_overlap(path: Path, data: ImageDataModule, split: Split, record: DataRecord) -> Overlap:
    """Look for images of another data set among those that a run was trained on, by their files or their pixels.

    Raises:
        SettingError: validation images that were trained on.
    """
    trained = read_training_images(path, record)
    if trained is None or has_file_digests(trained, "train") != has_file_digests(data, split):
        return Overlap(None)
    seen = set(image_digests(trained, "train"))
    found = sum(digest in seen for digest in image_digests(data, split))
    if found and split == "val":
        raise SettingError(
            f"--split val: {found:,} of these {len(data.rows[split]):,} images were used for training: use --split"
            " test, or other images"
        )
    return Overlap(found)


def read_training_images(path: Path, record: DataRecord) -> ImageDataModule | None:
    """The images that a run was trained on, if they are still there, as they were."""
    try:
        config = with_schema_types(read_run_config(path), f"{path}/{CONFIG}")
        data = capabilities.require_image_data(experiment.build_data(config, only="train"), "evaluate")
        if not data.at_hand():
            return None
        data.setup()
    except SettingError:
        return None
    return None if record.changes(DataRecord.of(data), ["train", "val"]) else data


def has_file_digests(data: ImageDataModule, split: Split) -> bool:
    """Whether the digests of a split are those of files."""
    return bool(data.parts[data.part_of(split)].files)


def image_digests(data: ImageDataModule, split: Split) -> Sequence[str]:
    """Those of the images of a split: of their files, or else of their pixels as the network sees them."""
    images, rows = data.parts[data.part_of(split)], data.rows[split]
    if has_file_digests(data, split):
        return [images.digests[row] for row in rows.tolist()]
    return pixel_digests(images.pixels[rows])

"""Files, folders and patterns on a command line. Imports no torch."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from labbook.data.class_folders import walk_files
from labbook.data.image_formats import file_endings
from labbook.errors import SettingError, abbreviate


class ImageFiles(NamedTuple):
    """Files, those of a folder or a pattern sorted by their paths."""

    images: list[Path]
    others: list[Path]  # in folders, and not named as images are


def find_images(places: Sequence[str]) -> ImageFiles:
    """The files of all places, in their order.

    Raises:
        SettingError: a place where there is no image.
        OSError: a folder that must not be read.
    """
    parts = [files_at(os.path.expanduser(place)) for place in places]  # noqa: PTH111 - a ~ of nobody may be a file
    return ImageFiles(
        [file for part in parts for file in part.images], [file for part in parts for file in part.others]
    )


def files_at(place: str) -> ImageFiles:
    """The files of one place: a file, whatever its name, the images in a folder, or all that a pattern stands for."""
    # Path.glob takes no pattern from the root, and another meaning of ** with each version of Python.
    there = [place] if os.path.lexists(place) else sorted(glob.glob(place, recursive=True))  # noqa: PTH207
    if not there:
        raise SettingError(f"{abbreviate(place)} is not a file, a folder or a pattern that matches files")
    parts = [images_in_folder(Path(path)) if Path(path).is_dir() else ImageFiles([Path(path)], []) for path in there]
    images, others = (list(dict.fromkeys(file for part in parts for file in part[which])) for which in (0, 1))
    if not images:
        kinds = ", ".join(sorted(file_endings()))
        raise SettingError(f"{abbreviate(place)} has no image: no file name ends in one of {kinds}")
    return ImageFiles(images, [file for file in others if file not in images])


def images_in_folder(folder: Path) -> ImageFiles:
    """The files in a folder and in those below, without hidden ones."""
    files = sorted(walk_files(folder, {}))
    named = [file.suffix.lower() in file_endings() for file in files]
    return ImageFiles(
        [file for file, is_image in zip(files, named, strict=True) if is_image],
        [file for file, is_image in zip(files, named, strict=True) if not is_image],
    )

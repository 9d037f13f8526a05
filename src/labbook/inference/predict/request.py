"""A command line of `predict`: the images, the settings and the files to write. Imports no torch."""

import glob
import os
import re
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig
from PIL import Image

from labbook.data.class_folders import walk_files
from labbook.data.image_formats import supported_formats
from labbook.errors import SettingError, abbreviate
from labbook.inference.evaluate.other_dataset import SEEN, check_same_decoding, trained_otherwise
from labbook.runs import outputs
from labbook.runs.resume import read_run_config, with_settings

if TYPE_CHECKING:  # it would import torch
    from labbook.data.image_spec import ImageSpec

SETTING = re.compile(r"[A-Za-z_][\w.]*=")


class ImageFiles(NamedTuple):
    """Files; those of a folder or a pattern are sorted by path."""

    images: list[Path]
    others: list[Path]  # in folders, with other names than images


@dataclass(frozen=True)
class PredictionRequest:
    """The arguments of `predict`, checked as far as possible without the network."""

    config: DictConfig
    files: ImageFiles
    numbers: list[int]  # of test images, if there are no files
    open: dict[str, Any]  # given values of data settings that are null in the run: the network decides
    outputs: tuple[Path, ...] = ()  # files to write
    cams: Mapping[str, Path] = field(default_factory=dict)  # the pictures to write, by image

    @classmethod
    def of(cls, given: Namespace) -> "PredictionRequest":
        numbers = [word for word in given.test_index or [] if re.fullmatch(r"[0-9]{1,18}", word)]
        behind = [word for word in given.test_index or [] if word not in numbers]  # argparse takes them for numbers
        settings, places = split_arguments([*given.words, *behind])
        config, left_open = with_prediction_settings(read_run_config(given.run), settings)
        if given.test_index is not None and (places or not numbers):
            raise SettingError(
                "--test-index takes numbers of test images, from 0 on, and no other images beside them, so not"
                f" {abbreviate(places[0] if places else behind[0])}"
            )
        if not places and not numbers:
            raise SettingError("nothing to predict: give images, folders, patterns or --test-index N")
        for option, number in (("--top", given.top), ("--batch-size", given.batch_size)):
            if number < 1:
                raise SettingError(f"{option} must be at least 1, not {number}")
        files = find_images(places)
        targets = {"--csv": given.csv, "--json": given.json, "--figure": given.figure}
        if given.cam_layer and not given.cam:
            raise SettingError(f"--cam-layer {given.cam_layer} is the layer of the heat maps: add --cam")
        names = list(map(str, files.images or map(int, numbers)))
        cams = name_pictures(names, given.cam_folder) if given.cam else {}
        pictures = {f"--cam-folder {file.parent}: {file.name}": file for file in cams.values()}
        outputs.check_outputs(targets | pictures, files.images)
        named = {option: file for option, file in targets.items() if file is not None}
        for option, file in named.items():
            check_output_file(option, file)
        return cls(config, files, list(map(int, numbers)), left_open, tuple(named.values()), cams)

    def check(self, spec: "ImageSpec", own: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
        """Compare the settings `open` with the images of the network; `own` are mean and std of its data set."""
        for name, known in (("image_size", spec.size), ("channels", spec.channels)):
            if self.open.get(name, known) != known:
                raise SettingError(trained_otherwise(name, self.open[name], known))
        asked = self.open.get("normalize")
        if asked is not None and not spec.has_normalization(asked, own):
            seen = f"mean {list(spec.mean)} and std {list(spec.std)}"
            raise SettingError(trained_otherwise("normalize", asked, seen))

    @property
    def known(self) -> bool:
        """Whether the true classes are known."""
        return not self.files.images

    @property
    def names(self) -> list[str]:
        return list(map(str, self.files.images or self.numbers))


def split_arguments(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The settings and the places of images; a word like a setting can be the name of a file."""
    settings = [word for word in words if SETTING.match(word) and not os.path.lexists(word)]
    return settings, [word for word in words if word not in settings]


def with_prediction_settings(config: DictConfig, settings: list[str]) -> tuple[DictConfig, dict[str, Any]]:
    """A run's configuration with some settings replaced, and the given values of settings that are null in the run.

    Settings that change the images that the network sees are refused.
    """
    replaced = with_settings(config, settings)
    check_same_decoding(config.data, replaced.data)
    left_open = {}
    for name in SEEN:
        was, asked = (node.data.get(name) for node in (config, replaced))
        if asked == was:
            continue
        if was is not None:
            raise SettingError(trained_otherwise(name, asked, was))
        left_open[name], replaced.data[name] = asked, was
    return replaced, left_open


def check_output_file(option: str, file: Path) -> None:
    if not file.parent.is_dir():
        raise SettingError(f"{option} {abbreviate(str(file))}: there is no folder {abbreviate(str(file.parent))}")
    if option == "--figure" and file.suffix.lower() != ".png" and not outputs.is_stream(file):
        raise SettingError(f"--figure {abbreviate(str(file))} must be a PNG file: use a name that ends in .png")


def name_pictures(images: Iterable[str], folder: Path) -> dict[str, Path]:
    """A PNG in `folder` for each image, with its name (test_N for a number), and another number for a second one."""
    seen: Counter[str] = Counter()
    files = {}
    for image in dict.fromkeys(images):
        stem = f"test_{image}" if image.isdecimal() else Path(image).stem
        seen[stem.lower()] += 1
        files[image] = folder / f"{stem}{f'_{seen[stem.lower()]}' if seen[stem.lower()] > 1 else ''}.png"
    return files


# Files --------------------------------------------------------------------------------------------------------------


def find_images(places: Sequence[str]) -> ImageFiles:
    """The files of all places (files, folders, patterns), in their order."""
    parts = [files_at(os.path.expanduser(place)) for place in places]  # noqa: PTH111 - ~NAME can be a file
    images, others = ([file for part in parts for file in part[which]] for which in (0, 1))
    return ImageFiles(images, others)


def files_at(place: str) -> ImageFiles:
    # Path.glob takes no absolute pattern, and ** differs between versions of Python.
    there = [place] if os.path.lexists(place) else sorted(glob.glob(place, recursive=True))  # noqa: PTH207
    if not there:
        raise SettingError(f"{abbreviate(place)} is not a file, a folder or a pattern that matches files")
    images: dict[Path, None] = {}
    others: dict[Path, None] = {}
    for path in map(Path, there):
        for file in sorted(walk_files(path, {})) if path.is_dir() else [path]:
            (images if file == path or file.suffix.lower() in file_endings() else others)[file] = None
    if not images:
        kinds = ", ".join(sorted(file_endings()))
        raise SettingError(f"{abbreviate(place)} has no image: no file name ends in one of {kinds}")
    return ImageFiles([*images], [file for file in others if file not in images])


@cache
def file_endings() -> frozenset[str]:
    """Endings of file names in lower case, such as .jpg; also of HEIC without the extra."""
    supported_formats()
    return frozenset({".heic", ".heif"}) | {
        ending for ending, name in Image.registered_extensions().items() if name in supported_formats()
    }

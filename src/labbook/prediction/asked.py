"""What a command line asks to be predicted, and where it is to be written. Imports no torch."""

import os
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from labbook.errors import SettingError
from labbook.evaluation.other_data import SEEN
from labbook.names import shown
from labbook.prediction.places import Found, found
from labbook.resuming import read_config, with_settings

SETTING = re.compile(r"[A-Za-z_][\w.]*=")


@dataclass(frozen=True)
class Asked:
    """A command line that makes sense, as far as that can be told without the network."""

    config: DictConfig
    files: Found
    numbers: list[int]  # of images of the test set, if there are no files

    @classmethod
    def of(cls, given: Namespace) -> "Asked":
        """From the arguments of `scripts/predict.py`.

        Raises:
            SettingError: arguments that do not go together, places without images, or no run.
            OSError: a folder that must not be read.
        """
        numbers = [word for word in given.test_index or [] if re.fullmatch(r"[0-9]{1,18}", word)]
        behind = [word for word in given.test_index or [] if word not in numbers]  # which argparse took for numbers
        settings, places = parted([*given.words, *behind])
        config = configured(read_config(given.run), settings)
        if given.test_index is not None and (places or not numbers):
            raise SettingError(
                "--test-index takes numbers of test images, from 0 on, and no other images beside them, so not"
                f" {shown(places[0] if places else behind[0])}"
            )
        if not places and not numbers:
            raise SettingError("there is nothing to predict: give images, folders, patterns or --test-index N")
        for option, number in (("--top", given.top), ("--batch-size", given.batch_size)):
            if number < 1:
                raise SettingError(f"{option} must be at least 1, not {number}")
        files = found(places)
        for option, target in (("--csv", given.csv), ("--json", given.json), ("--figure", given.figure)):
            if target is not None:
                check_target(option, target, files.images)
        return cls(config, files, list(map(int, numbers)))

    @property
    def known(self) -> bool:
        """Whether the true classes will be known."""
        return not self.files.images

    @property
    def names(self) -> list[str]:
        """Of all images: their paths as they were given, or their numbers."""
        return list(map(str, self.files.images or self.numbers))


def parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The settings on a command line, and the places of images: what looks like a setting may be a file's name."""
    settings = [word for word in words if SETTING.match(word) and not os.path.lexists(word)]
    return settings, [word for word in words if word not in settings]


def configured(config: DictConfig, settings: list[str]) -> DictConfig:
    """A run's configuration with some settings replaced, as far as a trained network can take others.

    Raises:
        SettingError: a setting that the run does not have, or by which the network would see other images.
    """
    replaced = with_settings(config, settings)
    for name in (f"data.{setting}" for setting in SEEN):
        was, asked = (OmegaConf.select(node, name) for node in (config, replaced))
        if asked != was:
            raise SettingError(f"{name}={asked}: the network was trained with {was}, and sees all images so")
    return replaced


def check_target(option: str, file: Path, images: Sequence[Path]) -> None:
    """Refuse a file to write to that cannot be, or that would be lost.

    Raises:
        SettingError: naming the option.
    """
    if not file.parent.is_dir():
        raise SettingError(f"{option} {shown(str(file))}: there is no folder {shown(str(file.parent))}")
    if file.is_dir():
        raise SettingError(f"{option} {shown(str(file))} is a folder: give the name of a file in it")
    if option == "--figure" and file.suffix.lower() != ".png":
        raise SettingError(f"--figure {shown(str(file))} is written as PNG: give a name that ends in .png")
    if file.exists() and any(file.samefile(image) for image in images if image.name == file.name and image.exists()):
        raise SettingError(f"{option} {shown(str(file))} is one of the images: write to another place")

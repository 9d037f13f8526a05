"""What a command line asks to be predicted, and where it is to be written. Imports no torch."""

import os
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from labbook.errors import SettingError, abbreviate
from labbook.inference.evaluate.other_dataset import SEEN
from labbook.inference.predict.find_images import ImageFiles, find_images
from labbook.runs import outputs
from labbook.runs.resume import read_run_config, with_settings

if TYPE_CHECKING:  # it would import torch
    from labbook.data.image_spec import ImageSpec

SETTING = re.compile(r"[A-Za-z_][\w.]*=")


@dataclass(frozen=True)
class PredictionRequest:
    """A command line that makes sense, as far as that can be told without the network."""

    config: DictConfig
    files: ImageFiles
    numbers: list[int]  # of images of the test set, if there are no files
    open: dict[str, Any]  # settings of the data that the run left open: only the network knows what they came to
    outputs: tuple[Path, ...] = ()  # files to write

    @classmethod
    def of(cls, given: Namespace) -> "PredictionRequest":
        """From the arguments of `scripts/predict.py`.

        Raises:
            SettingError: arguments that do not go together, places without images, or no run.
            OSError: a folder that must not be read.
        """
        numbers = [word for word in given.test_index or [] if re.fullmatch(r"[0-9]{1,18}", word)]
        behind = [word for word in given.test_index or [] if word not in numbers]  # which argparse took for numbers
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
        outputs.check_outputs(targets, files.images)
        named = {option: file for option, file in targets.items() if file is not None}
        for option, file in named.items():
            check_output_file(option, file)
        return cls(config, files, list(map(int, numbers)), left_open, tuple(named.values()))

    def check(self, spec: "ImageSpec") -> None:
        """Hold settings that the run left open against what its network sees.

        Raises:
            SettingError: another size or number of channels.
        """
        for name, known in (("image_size", spec.size), ("channels", spec.channels)):
            if self.open.get(name, known) != known:
                raise SettingError(other_images(name, self.open[name], known))

    @property
    def known(self) -> bool:
        """Whether the true classes will be known."""
        return not self.files.images

    @property
    def names(self) -> list[str]:
        """Of all images: their paths as they were given, or their numbers."""
        return list(map(str, self.files.images or self.numbers))


def split_arguments(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The settings on a command line, and the places of images: what looks like a setting may be a file's name."""
    settings = [word for word in words if SETTING.match(word) and not os.path.lexists(word)]
    return settings, [word for word in words if word not in settings]


def with_prediction_settings(config: DictConfig, settings: list[str]) -> tuple[DictConfig, dict[str, Any]]:
    """A run's configuration with some settings replaced, as far as a trained network can take others.

    Beside it those of the size and the channels of images that the run left open (null), so that its data set decided.

    Raises:
        SettingError: a setting that the run does not have, or by which the network would see other images.
    """
    replaced = with_settings(config, settings)
    left_open = {}
    for name in SEEN:
        was, asked = (node.data.get(name) for node in (config, replaced))
        if asked == was:
            continue
        if was is not None or name == "normalize":
            raise SettingError(other_images(name, asked, was))
        left_open[name], replaced.data[name] = asked, was
    return replaced, left_open


def other_images(name: str, asked: Any, known: Any) -> str:
    """What to say of a setting by which the network would see images of another form."""
    return f"data.{name}={asked}: the network was trained with {known}, and sees all images so"


def check_output_file(option: str, file: Path) -> None:
    """Refuse a file to write to that cannot be one."""
    if not file.parent.is_dir():
        raise SettingError(f"{option} {abbreviate(str(file))}: there is no folder {abbreviate(str(file.parent))}")
    if option == "--figure" and file.suffix.lower() != ".png" and not outputs.is_stream(file):
        raise SettingError(f"--figure {abbreviate(str(file))} must be a PNG file: use a name that ends in .png")

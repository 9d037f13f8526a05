"""Predictions for any number of images, batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from labbook.data.image_cache import decode_all
from labbook.data.resize import resize_and_convert
from labbook.errors import SettingError, printable
from labbook.inference.trained_model import TrainedModel, decoding_of_run


class ClassProbability(NamedTuple):
    """A predicted class."""

    name: str
    probability: float


class Prediction(NamedTuple):
    """The prediction for an image."""

    image: str  # its file, or its number in the test set
    guesses: tuple[ClassProbability, ...]  # the most probable first
    true: str | None = None  # its class if known; several as in 3|7
    classes: tuple[str, ...] | None = None  # the predicted classes, if an image can have several


class PredictedBatch(NamedTuple):
    """The predictions for a batch of images."""

    predictions: list[Prediction]
    pixels: Tensor  # uint8 [n, C, size, size]: the images as the network saw them
    problems: tuple[str, ...] = ()  # unreadable files, each with the reason
    remarks: tuple[tuple[str, str], ...] = ()  # notes on images, each with its file


@dataclass(frozen=True)
class Predictor:
    """A network with the number of classes per image and the batch size."""

    network: TrainedModel
    top: int  # classes of each image
    batch_size: int

    def __post_init__(self) -> None:
        if self.top > (known := self.network.spec.num_classes):
            raise SettingError(f"--top {self.top}: the network knows {known} classes: use at most as many")

    def files(self, files: Sequence[Path]) -> Iterator[PredictedBatch]:
        """Predictions for files, in their order; a file is decoded as in the test set."""
        each = zip(files, decode_all(files, decoding_of_run(self.network.config, self.network.spec)), strict=True)
        while batch := list(islice(each, self.batch_size)):
            names = [str(file) for file, decoded in batch if decoded.image is not None]
            images = [decoded.image for _, decoded in batch if decoded.image is not None]
            pixels = torch.from_numpy(np.stack(images)) if images else torch.empty(0, dtype=torch.uint8)
            problems = tuple(f"{printable(file)} {decoded.problem}" for file, decoded in batch if decoded.image is None)
            remarks = tuple((decoded.remark, printable(file)) for file, decoded in batch if decoded.remark)
            yield self._predicted(names, pixels)._replace(problems=problems, remarks=remarks)

    def test_images(self, numbers: Sequence[int]) -> Iterator[PredictedBatch]:
        """Predictions for images of the run's test set, whose true classes are known."""
        data, spec = self.network.data(), self.network.spec
        test = self.network.test_images()
        for number in numbers:
            if number >= len(test.labels):
                limit = f" with data.limit={data.limit}" if data.limit else ""
                raise SettingError(f"--test-index {number}: the test set{limit} has images 0 to {len(test.labels) - 1}")
        batches = (numbers[start : start + self.batch_size] for start in range(0, len(numbers), self.batch_size))
        return (
            self._predicted(
                list(map(str, rows)),
                test.pixels[list(rows)],
                [spec.name_of(label) for label in test.labels[list(rows)]],
            )
            for rows in batches
        )

    def _predicted(self, names: Sequence[str], pixels: Tensor, true: Sequence[str | None] = ()) -> PredictedBatch:
        if not names:
            return PredictedBatch([], pixels)
        spec = self.network.spec
        pixels = resize_and_convert(pixels, spec.size, spec.channels)
        try:
            probabilities = self.network.probabilities(pixels)
        except torch.OutOfMemoryError as error:  # of a GPU
            raise SettingError(
                f"a batch of {len(names)} images does not fit into the memory of {self.network.device}: use a smaller"
                " --batch-size"
            ) from error
        best = probabilities.topk(self.top)
        guesses = [
            tuple(
                ClassProbability(spec.class_names[place], probability) for probability, place in zip(*row, strict=True)
            )
            for row in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        known = true or [None] * len(names)
        several: Sequence[tuple[str, ...] | None] = self.network.several_classes(probabilities) or [None] * len(names)
        return PredictedBatch([Prediction(*each) for each in zip(names, guesses, known, several, strict=True)], pixels)

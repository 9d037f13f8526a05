"""Random images with random labels: for timing, and to try a network at any size without data."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from annotated_types import Ge
from pydantic import PositiveInt

from labbook.data.datamodule import ImageDataModule, Images
from labbook.data.decoding import Decoding
from labbook.data.image_spec import ImageSpec
from labbook.data.randomness import seeded_generator


class Synthetic(ImageDataModule):
    """`images` uniformly random images for training and a sixth of that for test, the same in every run."""

    native_channels = 3
    native_size = 32
    mean, std = (0.5,), (0.289,)

    def __init__(self, *, images: PositiveInt = 6000, classes: Annotated[int, Ge(2)] = 10, **options: Any) -> None:
        self.images = images
        self.class_names = tuple(str(number) for number in range(classes))
        super().__init__(**options)

    @classmethod
    def decoding_of(cls, settings: Mapping[str, Any], spec: ImageSpec) -> Decoding:
        return Decoding(spec.size, spec.channels)

    def read(self) -> tuple[Images, Images]:
        return self._drawn(0, self.images), self._drawn(1, -(-self.images // 6))

    def _drawn(self, part: int, count: int) -> Images:
        random = seeded_generator(torch.device("cpu"), part)
        shape = (count, self.channels, self.image_size, self.image_size)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
        labels = torch.randint(0, len(self.class_names), (count,), generator=random)
        return Images(pixels, labels, content=type(self).__name__)

"""Networks small enough to be counted by hand."""

import pytest
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.training.classifier import Classifier


def spec_of(channels: int, size: int, classes: int = 10) -> ImageSpec:
    return ImageSpec(channels, size, tuple(map(str, range(classes))), (0.5,) * channels, (0.5,) * channels)


class Small(Classifier):
    """A convolution, batch norm and a dense layer on 3 x 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__(spec_of(3, 8))
        self.conv, self.norm = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5)  # [n, 5, 6, 6]
        self.dropout, self.head = nn.Dropout(), nn.Linear(5 * 6 * 6, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.norm(self.conv(images)).flatten(1)))
        return logits


@pytest.fixture
def small() -> Small:
    return Small()

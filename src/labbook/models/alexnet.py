"""AlexNet (Krizhevsky, Sutskever and Hinton, 2012) for images of 32 pixels, as lab B trained it (B2)."""

from typing import Annotated

from annotated_types import Ge, Lt
from pydantic import PositiveInt
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.training.classifier import Classifier, Task


class AlexNet(Classifier):
    """Five convolutions, three overlapping poolings and two dense layers of `hidden` units, each after a dropout."""

    min_size = 15

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
        hidden: PositiveInt = 4096,
    ) -> None:
        super().__init__(spec, task)
        self.features = nn.Sequential(  # sizes for 32 pixels
            nn.Conv2d(spec.channels, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2),  # [n, 64, 15, 15]
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),  # [n, 192, 7, 7]
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2),  # [n, 256, 3, 3]
            nn.AdaptiveAvgPool2d(6),  # [n, 256, 6, 6]
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(256 * 6 * 6, hidden), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, spec.num_classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits

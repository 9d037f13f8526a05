"""A deeper convnet with batch norm and dropout (lab A, A5)."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Lt, MinLen
from pydantic import PositiveInt
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.training.classifier import Classifier, Task


class DeepConvNet(Classifier):
    """Blocks of 3x3 convolution, batch norm, ReLU and pooling by 2; then dropout and a dense layer of `hidden`."""

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        channels: Annotated[Sequence[PositiveInt], MinLen(1)] = (32, 64, 128),
        hidden: PositiveInt = 256,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.4,
    ) -> None:
        super().__init__(spec, task)
        self.require_size(spec, 2 ** len(channels))
        blocks: list[nn.Module] = []
        inputs = spec.channels
        for outputs in channels:
            blocks += [
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            inputs = outputs
        self.features = nn.Sequential(*blocks)
        side = spec.size // 2 ** len(channels)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(inputs * side**2, hidden), nn.ReLU(), nn.Linear(hidden, spec.num_classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits

"""A plain convnet (labs A and C)."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Lt, MinLen
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.models.mlp import ACTIVATIONS, Activation, dense_layers
from labbook.training.classifier import Classifier, Task


class ConvNet(Classifier):
    """Blocks of convolution, activation and pooling by 2, then dropout, `hidden` dense layers and the last one.

    The defaults are lab C's network (C2); `kernel_size=5 dropout=0` gives lab A's (A2).
    """

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        channels: Annotated[Sequence[PositiveInt], MinLen(1)] = (32, 64),
        kernel_size: PositiveInt = 3,
        padding: NonNegativeInt = 0,
        hidden: Sequence[PositiveInt] = (),
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
        activation: Activation = "relu",
    ) -> None:
        super().__init__(spec, task)
        self.require_size(spec, smallest_size([kernel_size] * len(channels), padding))
        blocks: list[nn.Module] = []
        inputs, side = spec.channels, spec.size
        for outputs in channels:
            convolution = nn.Conv2d(inputs, outputs, kernel_size, padding=padding)
            blocks += [convolution, ACTIVATIONS[activation](), nn.MaxPool2d(2)]
            inputs, side = outputs, (side + 2 * padding - kernel_size + 1) // 2
        self.features = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.hidden = dense_layers(inputs * side**2, hidden, [activation] * len(hidden), dropout=0.0)
        self.head = nn.Linear(hidden[-1] if hidden else inputs * side**2, spec.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images).flatten(1)  # [n, channels * side * side]
        logits: Tensor = self.head(self.hidden(self.dropout(features)))
        return logits


def smallest_size(kernel_sizes: Sequence[int], padding: int) -> int:
    """The smallest image in pixels for a block of convolution and pooling by 2 per kernel size."""
    size = 1
    for kernel_size in reversed(kernel_sizes):
        size = max(2 * size + kernel_size - 1 - 2 * padding, 1)
    return size

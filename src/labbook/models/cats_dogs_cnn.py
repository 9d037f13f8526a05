"""The cats-and-dogs network (lab D)."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import MinLen
from pydantic import PositiveInt
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.models.convnet import smallest_size
from labbook.training.classifier import Classifier, Task


class CatsDogsCNN(Classifier):
    """Blocks of convolution without bias or padding, batch norm, ReLU and pooling by 2; then one dense layer.

    At lab D's 256 pixels, the dense layer gets 128 channels of 2 x 2.

    Raises:
        SettingError: lists of different lengths.
    """

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        channels: Annotated[Sequence[PositiveInt], MinLen(1)] = (16, 32, 32, 64, 64, 128),
        kernel_sizes: Annotated[Sequence[PositiveInt], MinLen(1)] = (4, 3, 2, 2, 3, 3),
    ) -> None:
        super().__init__(spec, task)
        if len(channels) != len(kernel_sizes):
            raise SettingError(
                f"model.channels has {len(channels)} entries and model.kernel_sizes {len(kernel_sizes)}:"
                " give one of each for every block"
            )
        self.require_size(spec, smallest_size(kernel_sizes, padding=0))
        blocks: list[nn.Module] = []
        inputs, side = spec.channels, spec.size
        for outputs, kernel_size in zip(channels, kernel_sizes, strict=True):
            blocks += [
                nn.Conv2d(inputs, outputs, kernel_size, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            inputs, side = outputs, (side - kernel_size + 1) // 2
        self.features = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs * side**2, spec.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images).flatten(1))
        return logits

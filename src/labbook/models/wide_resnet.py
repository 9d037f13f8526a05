"""Wide residual networks for small images (Zagoruyko and Komodakis, arXiv 1605.07146)."""

from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Lt
from pydantic import PositiveInt
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.models.resnet import STAGES, blocks_in_a_stage, convolution_3x3, draw_convolutions
from labbook.training.classifier import Classifier, Task


class WideResNet(Classifier):
    """A convolution, three stages of residual blocks with 16, 32 and 64 times `width` channels, and a dense layer.

    `depth` counts the convolutions, 6 n + 4 for n blocks per stage: WRN-16-4 has depth 16 and width 4. Batch norm and
    ReLU come before each convolution, and dropout between the two of a block.

    Raises:
        SettingError: a depth that is not 6 n + 4.
    """

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        depth: Annotated[int, Ge(10)] = 16,
        width: PositiveInt = 4,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ) -> None:
        super().__init__(spec, task)
        blocks = blocks_in_a_stage(depth, 4)
        self.stem = convolution_3x3(spec.channels, 16)
        layers: list[nn.Module] = []
        inputs = 16
        for stage in range(STAGES):
            outputs = 16 * width * 2**stage
            for index in range(blocks):
                layers.append(WideBlock(inputs, outputs, stride=2 if stage and not index else 1, dropout=dropout))
                inputs = outputs
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(inputs)
        self.head = nn.Linear(inputs, spec.num_classes)
        draw_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.norm(self.blocks(self.stem(images))))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class WideBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut: [n, inputs, H, W] -> [n, outputs, H / stride, W / stride].

    If the number of channels changes, the shortcut is a 1x1 convolution after batch norm and ReLU.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.layers = nn.Sequential(
            convolution_3x3(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Dropout(dropout),
            convolution_3x3(outputs, outputs),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, features: Tensor) -> Tensor:
        active = F.relu(self.norm(features))
        beside = features if self.shortcut is None else self.shortcut(active)
        summed: Tensor = self.layers(active) + beside
        return summed

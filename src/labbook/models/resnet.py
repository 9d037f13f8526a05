"""ResNet in its form for small images (He et al., arXiv 1512.03385, section 4.2)."""

from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge
from pydantic import PositiveInt
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.training.classifier import Classifier, Task

STAGES = 3


class ResNet(Classifier):
    """A convolution, three stages of residual blocks with 16, 32 and 64 times `width` channels, and a dense layer.

    `depth` counts the layers with weights, 6 n + 2 for n blocks per stage: 20, 32, 44, 56 and 110 in the paper. Between
    stages the shortcut takes every other pixel and adds channels of zeros (the paper's option A, without weights).

    Raises:
        SettingError: a depth that is not 6 n + 2.
    """

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        depth: Annotated[int, Ge(8)] = 20,
        width: PositiveInt = 1,
    ) -> None:
        super().__init__(spec, task)
        blocks = blocks_in_a_stage(depth, 2)
        channels = [16 * width * 2**stage for stage in range(STAGES)]
        self.stem = nn.Sequential(convolution_3x3(spec.channels, channels[0]), nn.BatchNorm2d(channels[0]), nn.ReLU())
        layers: list[nn.Module] = []
        inputs = channels[0]
        for stage, outputs in enumerate(channels):
            for block in range(blocks):
                layers.append(ResidualBlock(inputs, outputs, stride=2 if stage and not block else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, spec.num_classes)
        draw_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        features = self.blocks(self.stem(images))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, batch norm and a shortcut: [n, inputs, H, W] -> [n, outputs, H / stride, W / stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.shortcut = ThinnedShortcut(stride, outputs - inputs) if stride > 1 or outputs > inputs else nn.Identity()
        self.layers = nn.Sequential(
            convolution_3x3(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            convolution_3x3(outputs, outputs),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.layers(features) + self.shortcut(features))


class ThinnedShortcut(nn.Module):
    """Every other pixel, and channels of zeros: [n, C, H, W] -> [n, C + added, H / stride, W / stride]."""

    def __init__(self, stride: int, added: int) -> None:
        super().__init__()
        self.stride, self.added = stride, added

    def forward(self, features: Tensor) -> Tensor:
        return F.pad(features[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))


def convolution_3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def blocks_in_a_stage(depth: int, others: int) -> int:
    """The number of blocks with two layers per stage; `others` layers are in no stage."""
    blocks, rest = divmod(depth - others, 2 * STAGES)
    if rest:
        near = others + 2 * STAGES * blocks
        raise SettingError(f"model.depth={depth} is not 6 n + {others}: use {near} or {near + 2 * STAGES}")
    return blocks


def draw_convolutions(network: nn.Module) -> None:
    """Initialize the filters as both papers do (He et al., arXiv 1502.01852)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

"""A network with a number as additional input for each image."""

import torch
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.training.classifier import Classifier, Task


class WithThreshold(Classifier):
    """`threshold` is the name of a tensor in `Images.extra`."""

    def __init__(self, spec: ImageSpec, task: Task | None = None, width: int = 16) -> None:
        super().__init__(spec, task)
        self.layers = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, spec.num_classes))

    def forward(self, images: Tensor, threshold: Tensor) -> Tensor:
        """Images [n, C, H, W] and their thresholds [n, 1] to logits [n, classes]."""
        brightness = images.mean((1, 2, 3)).unsqueeze(1)
        return self.layers(torch.cat([brightness, threshold], 1))

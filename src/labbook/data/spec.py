"""The only handshake between data and model."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ImageSpec:
    """What a model must know of its images, and all that it knows.

    `mean` and `std` are per channel, of pixels scaled to [0, 1].
    """

    channels: int
    size: int  # pixels, height and width
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        """How many classes the network tells apart."""
        return len(self.class_names)

    def normalize(self, images: Tensor) -> Tensor:
        """Pixels 0..255 [N, C, H, W], of any type, to normalised float32."""
        mean = torch.tensor(self.mean, device=images.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(-1, 1, 1)
        return images.to(torch.float32, copy=True).mul_(1 / (255 * std)).sub_(mean / std)

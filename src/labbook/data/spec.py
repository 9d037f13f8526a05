"""The only handshake between data and model."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=16)
def per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    """One number a channel as float32 [C, 1, 1]; remembered, as sending it to a GPU would stop that for a moment."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)


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
        mean, std = per_channel(self.mean, images.device), per_channel(self.std, images.device)
        return images.to(torch.float32, copy=True).mul_(1 / (255 * std)).sub_(mean / std)

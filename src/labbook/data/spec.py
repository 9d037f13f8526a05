"""The only handshake between data and model."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=16)
def scale_and_shift(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """What pixels 0..255 are multiplied by and what is then taken off, float32 [C, 1, 1].

    Remembered, as sending it to a GPU would stop that for a moment.
    """
    means, stds = (torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1) for values in (mean, std))
    return 1 / (255 * stds), means / stds


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
        """Pixels 0..255 [N, C, H, W], uint8 or float32, to normalised float32."""
        scale, shift = scale_and_shift(self.mean, self.std, images.device)
        return torch.mul(images, scale).sub_(shift)

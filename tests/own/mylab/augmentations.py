"""Augmentations of training images."""

import torch
from torch import Tensor

from labbook.data.augment import Draw


class Noise:
    """Adds Gaussian noise to each image, with a random deviation of at most `strength` (of 255)."""

    def __init__(self, strength: float = 20) -> None:
        self.strength = strength

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        """Pixels 0..255 [n, C, H, W], uint8 or float32."""
        noise = torch.randn(images.shape, generator=draw.random, device=images.device)
        each = self.strength * torch.rand(len(images), 1, 1, 1, generator=draw.random, device=images.device)
        return (images + each * noise).clamp(0, 255)

"""Dots on a grey ground; how bright the ground is counts as light or dark only beside a threshold for each image."""

import torch
from torch import Tensor

from labbook.data.module import ImageDataModule, Images


class Thresholds(ImageDataModule):
    """400 grey images to train and 100 to test, each with a threshold: is the image brighter?"""

    class_names = ("darker", "brighter")
    native_size = 8
    native_channels = 1
    mean, std = (0.5,), (0.3,)

    def read(self) -> tuple[Images, Images]:
        """Both parts, each image with `threshold`, float32 [N, 1]."""
        random = torch.Generator().manual_seed(0)
        shade, threshold = torch.rand(2, 500, 1, generator=random)
        pixels = (255 * shade).byte().view(-1, 1, 1, 1).repeat(1, 1, 8, 8)
        labels = (shade > threshold).long().flatten()
        return part(pixels[:400], labels[:400], threshold[:400]), part(pixels[400:], labels[400:], threshold[400:])


def part(pixels: Tensor, labels: Tensor, threshold: Tensor) -> Images:
    """The images of a part with what belongs to each of them."""
    return Images(pixels, labels, extra={"threshold": threshold})

"""Grey images, each with a threshold: is the image brighter?"""

import torch

from labbook.data.datamodule import ImageDataModule, Images


class Thresholds(ImageDataModule):
    class_names = ("darker", "brighter")
    native_size = 8
    native_channels = 1
    mean, std = (0.5,), (0.3,)

    def read(self) -> tuple[Images, Images]:
        """400 images to train and 100 to test."""
        return made(400, seed=0), made(100, seed=1)


def made(count: int, seed: int) -> Images:
    brightness, threshold = torch.rand(2, count, 1, generator=torch.Generator().manual_seed(seed))
    pixels = (255 * brightness).byte().view(-1, 1, 1, 1).repeat(1, 1, 8, 8)
    labels = (brightness > threshold).long().flatten()
    return Images(pixels, labels, extra={"threshold": threshold})

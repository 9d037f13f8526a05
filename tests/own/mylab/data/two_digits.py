"""Pictures with two digits each: images with several classes."""

import torch

from labbook.data.datamodule import ImageDataModule, Images
from labbook.data.digits import Digits


class TwoDigits(ImageDataModule):
    class_names = Digits.class_names
    multilabel = True
    native_size = 16
    native_channels = 1
    mean, std = (0.08,), (0.22,)

    def read(self) -> tuple[Images, Images]:
        train, test = (paired(images) for images in Digits().read())
        return train, test


def paired(images: Images) -> Images:
    """Two digits side by side; labels uint8 [N, 10], 1 for each digit in the image."""
    others = torch.randperm(len(images.labels), generator=torch.Generator().manual_seed(0))
    pixels = torch.zeros(len(others), 1, 16, 16, dtype=torch.uint8)
    pixels[..., 4:12, :8], pixels[..., 4:12, 8:] = images.pixels, images.pixels[others]
    labels = torch.zeros(len(others), 10, dtype=torch.uint8)
    labels.scatter_(1, torch.stack([images.labels, images.labels[others]], 1).long(), 1)
    return Images(pixels, labels)

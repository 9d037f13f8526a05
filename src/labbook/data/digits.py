"""The UCI handwritten digits in the package (see DIGITS.md): training takes seconds, no download."""

from importlib.resources import files

import numpy as np
import torch

from labbook.data.datamodule import ImageDataModule, Images

TEST_EVERY = 5  # every fifth image of the file, from the first, is a test image


class Digits(ImageDataModule):
    """1,797 digits of 8 x 8 pixels with 17 shades of grey; 1,437 for training, 360 for test, by the same writers."""

    class_names = tuple("0123456789")
    native_size = 8
    native_channels = 1
    mean = (0.3053,)
    std = (0.3762,)
    mirrored = False
    box = 1.0

    def read(self) -> tuple[Images, Images]:
        """Both parts, shades 0..16 scaled to 0..255."""
        with (
            files("labbook.data").joinpath("digits.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            shades = torch.from_numpy(arrays["images"].astype(np.float32))
            labels = torch.from_numpy(arrays["labels"])
        pixels = (shades * (255 / 16)).round().byte().unsqueeze(1)
        test = torch.arange(len(labels)) % TEST_EVERY == 0
        name = type(self).__name__
        return Images(pixels[~test], labels[~test], content=name), Images(pixels[test], labels[test], content=name)

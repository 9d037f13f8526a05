"""From a file or a drawing to the pixels that a network sees, and from these to pictures for a person."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import Tensor

from labbook.data.decoding import Decoding, decode
from labbook.data.image_spec import ImageSpec
from labbook.data.resize import resize_and_convert, resize_images
from labbook.errors import SettingError, abbreviate
from labbook.inference.trained_model import data_type

DARK = 0.4  # mean of pixels: sets drawn light on dark lie below (0.13 to 0.31), photographs above (0.47)
FAINT = 32  # of 255: ink that is no more than the edge of a stroke
SIDE = 352  # pixels, the least side of a picture for a person
FOR, AGAINST = (255, 120, 0), (40, 130, 255)  # orange and blue, which all can tell apart, also on grey


@dataclass(frozen=True)
class ImageHabits:
    """How the training's images were made, as far as their data set says."""

    dark: bool  # grey, and light on dark
    box: float  # the part of a side that the shapes were fitted to; 0: they were not
    size: int  # pixels of a side before resizing; 0: any

    @classmethod
    def of(cls, config: DictConfig, spec: ImageSpec) -> "ImageHabits":
        """Those of a run's data, which need not be there."""
        data = data_type(config)
        dark = bool(spec.channels == 1 and data.mean and sum(data.mean) / len(data.mean) < DARK)
        return cls(dark, data.box if spec.channels == 1 else 0, data.native_size)


def pixels_of_file(path: Path, spec: ImageSpec, how: Decoding) -> Tensor:
    """An image file as the network sees it, decoded as in the training: uint8 [1, C, size, size].

    Raises:
        SettingError: it is no image, or too large.
    """
    decoded = decode(path, how)
    if decoded.image is None:
        raise SettingError(f"This file {abbreviate(decoded.problem)}.")
    return resize_and_convert(torch.from_numpy(decoded.image.copy())[None], spec.size, spec.channels)


def pixels_of_drawing(
    paper: np.ndarray, spec: ImageSpec, habits: ImageHabits, invert: bool, centre: bool
) -> Tensor | None:
    """A drawing uint8 [h, w, 3] on white as the network sees it: uint8 [1, C, size, size]; None where it is empty.

    It is first made as small as the set's images were. For grey images `invert` makes it white on black, and `centre`
    calls `centre_ink`.
    """
    if (paper == 255).all():
        return None
    pixels = torch.from_numpy(paper.copy()).permute(2, 0, 1)[None]
    size = habits.size or spec.size
    if spec.channels == 3:
        return resize_and_convert(resize_and_convert(pixels, size, 3), spec.size, 3)
    ink = 255 - resize_and_convert(pixels, pixels.shape[-1], 1)
    ink = resize_and_convert(
        centre_ink(ink, size, habits.box or 1) if centre else resize_images(ink, size), spec.size, 1
    )
    return ink if invert else 255 - ink


def centre_ink(ink: Tensor, size: int, box: float) -> Tensor:
    """Ink uint8 [1, 1, H, W], 0 where there is none, fitted as MNIST's digits are: [1, 1, size, size].

    The longer side becomes `box` of the image's, and the centre of mass moves to the middle, as far as nothing is cut.
    """
    rows, columns = (torch.nonzero((ink[0, 0] > FAINT).any(axis)).flatten() for axis in (1, 0))
    if not len(rows):
        return resize_images(ink, size)
    cut = ink[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].float()
    scale = size * box / max(cut.shape[-2:])
    height, width = (max(1, min(size, round(side * scale))) for side in cut.shape[-2:])
    small = F.interpolate(cut, (height, width), mode="bilinear", antialias=True)[0, 0]
    placed = torch.zeros(size, size)
    top, left = (strip_start(small.sum(1 - axis), size) for axis in (0, 1))
    placed[top : top + height, left : left + width] = small
    return placed.round().clamp(0, 255).byte()[None, None]


def strip_start(ink: Tensor, size: int) -> int:
    """Where a strip of ink [n] begins so that its centre of mass is as near to the middle of `size` as it has room."""
    mean = float((ink * (torch.arange(len(ink)) + 0.5)).sum() / ink.sum())
    return min(max(round(size / 2 - mean), 0), size - len(ink))


def has_light_border(pixels: Tensor) -> bool:
    """Whether most of the border of an image uint8 [1, C, H, W] is light."""
    image = pixels[0].float().mean(0)
    border = torch.cat([image[0], image[-1], image[:, 0], image[:, -1]])
    return bool(border.median() > 127)


def enlarge(pixels: Tensor) -> np.ndarray:
    """An image uint8 [1, C, H, W] for a person, each pixel a square: uint8 [h, w, 3] with sides of `SIDE` or more."""
    times = max(1, -(-SIDE // pixels.shape[-2]))
    return pixels[0].expand(3, -1, -1).permute(1, 2, 0).cpu().numpy().repeat(times, axis=0).repeat(times, axis=1)


def overlay_heat(pixels: Tensor, heat: Tensor) -> Tensor:
    """An image uint8 [1, C, H, W] in pale grey under `heat` [H, W] from -1 (blue) to 1 (orange): uint8 [1, 3, H, W]."""
    grey = pixels.float().mean(1, keepdim=True).cpu() * 0.5 + 64
    heat = heat.cpu()[None, None]
    warm, cold = (torch.tensor(each).view(1, 3, 1, 1) for each in (FOR, AGAINST))
    colour = torch.where(heat > 0, warm, cold)
    share = heat.abs() ** 0.7  # weak values would be invisible
    return (grey * (1 - share) + colour * share).round().byte()

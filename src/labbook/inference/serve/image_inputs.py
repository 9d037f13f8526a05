"""From a file or a drawing to the pixels that a network sees, and from these to pictures for a person."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from labbook.data.decoding import Decoding, decode
from labbook.data.pixels import resized, shaped
from labbook.data.spec import ImageSpec
from labbook.errors import abbreviate
from labbook.inference.trained_model import data_type

DARK = 0.4  # mean of pixels: sets drawn light on dark lie below (0.13 to 0.31), photographs above (0.47)
FAINT = 32  # of 255: ink that is no more than the edge of a stroke
PIECE = 352  # pixels, the least side of a picture for a person
FOR, AGAINST = (255, 120, 0), (40, 130, 255)  # orange and blue, which all can tell apart, also on grey


class PictureError(ValueError):
    """Why there is nothing to look at, in a sentence."""


@dataclass(frozen=True)
class Habits:
    """How the images of the training were taken, as far as their data set tells."""

    dark: bool  # grey, and light on dark
    box: float  # what is on them was fitted to a box of this part of a side; 0: it was not
    size: int  # pixels of a side before they were made larger or smaller; 0: of any

    @classmethod
    def of(cls, config: DictConfig, spec: ImageSpec) -> "Habits":
        """Those of a run's data, which need not be there."""
        data = data_type(config)
        dark = bool(spec.channels == 1 and data.mean and sum(data.mean) / len(data.mean) < DARK)
        return cls(dark, data.box if spec.channels == 1 else 0, data.native_size)


def of_file(path: Path, spec: ImageSpec, how: Decoding) -> Tensor:
    """The image in a file, decoded as those of a data set are, as the network sees it: uint8 [1, C, size, size].

    Raises:
        PictureError: it is none, or too large.
    """
    decoded = decode(path, how)
    if decoded.image is None:
        raise PictureError(f"This file {abbreviate(decoded.problem)}.")
    return shaped(torch.from_numpy(decoded.image.copy())[None], spec.size, spec.channels)


def of_drawing(content: bytes, spec: ImageSpec, habits: Habits, invert: bool, centre: bool) -> Tensor | None:
    """A drawing, as the browser's PNG or WebP: uint8 [1, C, size, size]; None where nothing is drawn.

    It is made as small as the images of the set are by nature before it is brought to the network's size, as they were.
    For a network of grey images `invert` makes it white on black; `centre` is as `centred`.

    Raises:
        PictureError: this is no picture.
    """
    try:
        with Image.open(BytesIO(content), formats=("PNG", "WEBP")) as image:
            drawn = image.convert("RGBA")
    except Exception as error:  # each decoder has its own ways to fail
        raise PictureError("This drawing cannot be read.") from error
    paper = Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
    if paper.getextrema() == ((255, 255),) * 3:
        return None
    pixels = torch.from_numpy(np.array(paper)).permute(2, 0, 1)[None]
    size = habits.size or spec.size
    if spec.channels == 3:
        return shaped(shaped(pixels, size, 3), spec.size, 3)
    ink = 255 - shaped(pixels, pixels.shape[-1], 1)
    ink = shaped(centred(ink, size, habits.box or 1) if centre else resized(ink, size), spec.size, 1)
    return ink if invert else 255 - ink


def centred(ink: Tensor, size: int, box: float) -> Tensor:
    """Ink uint8 [1, 1, H, W], 0 where there is none, as MNIST's digits are: [1, 1, size, size].

    The longer side of what is drawn becomes `box` of the image's, and its centre of mass the middle, as far as nothing
    is cut off.
    """
    rows, columns = (torch.nonzero((ink[0, 0] > FAINT).any(axis)).flatten() for axis in (1, 0))
    if not len(rows):
        return resized(ink, size)
    cut = ink[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].float()
    scale = size * box / max(cut.shape[-2:])
    height, width = (max(1, min(size, round(side * scale))) for side in cut.shape[-2:])
    small = F.interpolate(cut, (height, width), mode="bilinear", antialias=True)[0, 0]
    placed = torch.zeros(size, size)
    top, left = (start(small.sum(1 - axis), size) for axis in (0, 1))
    placed[top : top + height, left : left + width] = small
    return placed.round().clamp(0, 255).byte()[None, None]


def start(ink: Tensor, size: int) -> int:
    """Where a strip of ink [n] begins whose centre of mass is in the middle of `size`, or as near as it has room."""
    mean = float((ink * (torch.arange(len(ink)) + 0.5)).sum() / ink.sum())
    return min(max(round(size / 2 - mean), 0), size - len(ink))


def on_light(pixels: Tensor) -> bool:
    """Whether most of the border of an image uint8 [1, C, H, W] is light."""
    image = pixels[0].float().mean(0)
    border = torch.cat([image[0], image[-1], image[:, 0], image[:, -1]])
    return bool(border.median() > 127)


def seen(pixels: Tensor) -> np.ndarray:
    """What the network sees, uint8 [1, C, H, W], for a person: uint8 [h, w, 3], each pixel a square."""
    return enlarged(pixels[0].expand(3, -1, -1).permute(1, 2, 0).cpu().numpy())


def overlaid(pixels: Tensor, heat: Tensor) -> np.ndarray:
    """The image in pale grey, and over it what speaks for the class, orange, and against it, blue: uint8 [h, w, 3].

    `heat` is [H, W], from -1 (against) to 1.
    """
    grey = pixels[0].float().mean(0).cpu().numpy()[..., None] * 0.5 + 64
    strength = heat.cpu().numpy()[..., None]
    colour = np.where(strength > 0, np.array(FOR), np.array(AGAINST))
    share = np.abs(strength) ** 0.7  # the eye would miss what is weak
    return enlarged((grey * (1 - share) + colour * share).round().astype(np.uint8))


def enlarged(picture: np.ndarray) -> np.ndarray:
    """Pixels as squares, so many that each side of uint8 [h, w, 3] has `PIECE` or more."""
    times = max(1, -(-PIECE // picture.shape[0]))
    return picture.repeat(times, axis=0).repeat(times, axis=1)

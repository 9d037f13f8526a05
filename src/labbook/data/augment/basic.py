"""Flips, crops, rotation and erasing of a batch, with other random numbers for each image."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from labbook.data.augment import geometry
from labbook.data.randomness import random_bits
from labbook.errors import SettingError


class Draw(NamedTuple):
    """What transforms of a batch can depend on: random numbers, or the position."""

    random: Generator  # on the images' device
    rows: Tensor  # int64 [n]: indices of the images in the training set
    epoch: int
    seed: int
    size: int = 0  # pixels of the network's images, if these are larger (data.decode_size); else 0


class Transform(ABC):
    """A dataclass whose fields are the options; `{NAME: AMOUNT}` sets the first."""

    name: ClassVar[str]  # that of the class in snake case, unless it declares another

    def __init_subclass__(cls) -> None:
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def __post_init__(self) -> None:
        if not 0 <= (probability := getattr(self, "probability", 0)) <= 1:
            raise SettingError(f"data.augment: {self.name} takes a probability from 0 to 1, not {probability}")

    @abstractmethod
    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        """New images of the same shape."""

    def check_size(self, size: int) -> None:  # noqa: B027 - most take any size
        """Raise a SettingError if images of `size` pixels are too small."""


@dataclass(frozen=True)
class Flip(Transform):
    """Mirror left and right with a probability."""

    probability: float = 0.5

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        flipped = torch.rand(len(images), generator=draw.random, device=images.device) < self.probability
        return mirror(images, flipped)


@dataclass(frozen=True)
class AlternatingFlip(Transform):
    """Mirror left and right in every other epoch (Jordan, arXiv 2404.00498).

    In the first epoch, the seed decides which images are mirrored; in the next epoch the others are.
    """

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        flipped = random_bits(draw.rows.to(images.device), draw.seed) ^ (draw.epoch % 2 == 1)
        return mirror(images, flipped)


@dataclass(frozen=True)
class Crop(Transform):
    """Pad with zeros on every side and crop the old size at a random place."""

    padding: int = 4

    def __post_init__(self) -> None:
        if not float(self.padding).is_integer() or self.padding < 1:
            raise SettingError(
                f"data.augment: {self.name} takes a padding in whole pixels, at least 1, not {self.padding}"
            )

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        most = 2 * int(self.padding)
        top, left = torch.randint(0, most + 1, (2, len(images)), generator=draw.random, device=images.device)
        return windows(self.padded(images, int(self.padding)), top, left, *images.shape[2:])

    def padded(self, images: Tensor, padding: int) -> Tensor:
        return F.pad(images, (padding,) * 4)


@dataclass(frozen=True)
class ReflectCrop(Crop):
    """As `Crop`, padded by reflection instead of zeros."""

    def check_size(self, size: int) -> None:
        if self.padding >= size:
            raise SettingError(
                f"data.augment: {self.name} takes a padding smaller than the images' {size} pixels, not {self.padding}"
            )

    def padded(self, images: Tensor, padding: int) -> Tensor:
        for side in (-1, -2):  # torch does not reflect uint8
            first = images.narrow(side, 1, padding).flip(side)
            last = images.narrow(side, images.shape[side] - 1 - padding, padding).flip(side)
            images = torch.cat([first, images, last], side)
        return images


def mirror(images: Tensor, flipped: Tensor) -> Tensor:
    """The images [n, C, H, W], mirrored left and right where `flipped` (bool [n])."""
    if images.device.type != "cpu":
        return torch.where(flipped.view(-1, 1, 1, 1), images.flip(-1), images)
    pairs = zip(flipped.tolist(), torch.split(images, 1), strict=True)  # a tenth of the time of torch.where
    return torch.cat([image.flip(-1) if is_flipped else image for is_flipped, image in pairs])


def change_groups(images: Tensor, groups: Iterable[tuple[list[int], Callable[[Tensor], Tensor]]]) -> Tensor:
    """Change some images at a time, one group after the other: their rows, and the function of them as float batch.

    Lists of images are several times faster than indexed tensors on a CPU. torch.cat keeps the memory
    layout of images that all have the same.
    """
    changed = list(torch.split(images, 1))
    for rows, change in groups:
        if rows:
            group = torch.cat([changed[row] for row in rows]).float()
            for row, image in zip(rows, torch.split(change(group), 1), strict=True):
                changed[row] = image
    return torch.cat([image.float() for image in changed])


def with_amounts(change: Callable[[Tensor, Tensor], Tensor], amounts: Tensor) -> Callable[[Tensor], Tensor]:
    """A change of images by these amounts, one for each image."""
    return lambda images: change(images, amounts)


def windows(images: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """The window of each image [n, C, H, W] that starts at its own `top` and `left` (int64 [n])."""
    if images.device.type == "cpu":  # copies of rows take a tenth of the time of single pixels
        starts = zip(torch.split(images, 1), top.tolist(), left.tolist(), strict=True)
        return torch.cat([image[..., y : y + height, x : x + width] for image, y, x in starts])
    image = torch.arange(len(images), device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1)
    rows, columns = (
        start.view(-1, 1) + torch.arange(count, device=start.device) for start, count in ((top, height), (left, width))
    )
    return images[image, channel, rows.view(len(rows), 1, -1, 1), columns.view(len(rows), 1, 1, -1)]


@dataclass(frozen=True)
class Rotation(Transform):
    """Rotate about the center by an angle from [-degrees, degrees]; bilinear, zeros outside."""

    degrees: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.degrees <= 180:
            raise SettingError(f"data.augment: rotation takes degrees above 0 and up to 180, not {self.degrees}")

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        draws = torch.rand(len(images), generator=draw.random, device=images.device)
        return rotate(images, (2 * draws - 1) * self.degrees)


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Each image [n, C, H, W] rotated counter-clockwise by its angle (float [n]), as float32."""
    height, width = images.shape[2:]
    angle = degrees.view(-1, 1) * (math.pi / 180)
    # Where each pixel comes from, in coordinates from -1 to 1, so the aspect ratio is a factor. The sum of a term for
    # the row and one for the column: F.affine_grid takes twice as long.
    x, y = (2 * torch.arange(count, device=images.device) / count + (1 / count - 1) for count in (width, height))
    rows = torch.stack([-angle.sin() * (height / width) * y, angle.cos() * y], -1)  # [n, H, 2]
    columns = torch.stack([angle.cos() * x, angle.sin() * (width / height) * x], -1)  # [n, W, 2]
    grid = geometry.outer_sum(rows, columns)
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


@dataclass(frozen=True)
class Erasing(Transform):
    """Fill a box with the mean of the image, with a probability (Zhong et al., arXiv 1708.04896).

    The box has 0.02 to 0.4 of the area. Its height is 0.3 to 3.3 times its width (log-uniform), limited to boxes that
    fit into the image.
    """

    probability: float = 0.5
    AREAS: ClassVar[tuple[float, float]] = (0.02, 0.4)
    RATIO: ClassVar[float] = 3.3

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        height, width = images.shape[2:]
        chosen, area, ratio, top, left = torch.rand(5, len(images), generator=draw.random, device=images.device)
        area = (self.AREAS[0] + (self.AREAS[1] - self.AREAS[0]) * area) * height * width  # pixels
        least, most = (
            (area / width**2).clamp(min=1 / self.RATIO).log(),
            (height**2 / area).clamp(max=self.RATIO).log(),
        )
        ratio = (least + (most - least) * ratio).exp()
        rows = (area * ratio).sqrt().round().clamp(1, height)
        columns = (area / ratio).sqrt().round().clamp(1, width)
        rows = torch.where(chosen < self.probability, rows, 0)
        return erase_boxes(
            images, (top * (height - rows + 1)).floor(), (left * (width - columns + 1)).floor(), rows, columns
        )


def erase_boxes(images: Tensor, top: Tensor, left: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Each image [n, C, H, W] with a box (each [n], whole pixels) filled with the mean of each channel."""
    changed = images.clone()
    boxes = torch.stack([top, left, rows, columns], 1).long().tolist()
    for image, (y, x, height, width) in zip(changed.unbind(), boxes, strict=True):
        if height:
            mean = image.mean((1, 2), keepdim=True, dtype=torch.float32)
            image[:, y : y + height, x : x + width] = mean if image.is_floating_point() else mean.round()
    return changed

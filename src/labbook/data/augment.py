"""Augmentation of a whole batch at a time in which every image gets its own draw.

Each transform takes pixels [n, C, H, W] of scale 0..255 and what it may draw from. (torchvision's v2 transforms draw
once for a batch.)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from labbook.data.randomness import coins
from labbook.errors import SettingError, choices


class Draw(NamedTuple):
    """What decides about the images of a batch: a generator, or the position itself."""

    random: Generator  # on the images' device
    rows: Tensor  # int64 [n]: which images of the training set these are
    epoch: int
    seed: int


Transform = Callable[[Tensor, Draw], Tensor]


@dataclass(frozen=True)
class Flip:
    """Mirror left and right with a given probability."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise SettingError(f"data.augment: flip takes a probability from 0 to 1, not {self.probability}")

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        """Each image mirrored or not."""
        flipped = torch.rand(len(images), generator=draw.random, device=images.device) < self.probability
        return torch.where(flipped.view(-1, 1, 1, 1), images.flip(-1), images)


@dataclass(frozen=True)
class AlternatingFlip:
    """Mirror left and right in every other epoch (Jordan, arXiv 2404.00498).

    In the first epoch each image is mirrored or not by a draw from the seed, and then the other way round each time:
    two epochs always show both.
    """

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        """Each image mirrored or not."""
        flipped = coins(draw.rows.to(images.device), draw.seed) ^ (draw.epoch % 2 == 1)
        return torch.where(flipped.view(-1, 1, 1, 1), images.flip(-1), images)


@dataclass(frozen=True)
class Crop:
    """Pad with zeros on every side and cut the old size out at a random place."""

    name: ClassVar[str] = "crop"
    padding: int = 4

    def __post_init__(self) -> None:
        if not float(self.padding).is_integer() or self.padding < 1:
            raise SettingError(
                f"data.augment: {self.name} takes a padding in whole pixels, at least 1, not {self.padding}"
            )

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        """Each image moved by up to `padding` pixels in both directions."""
        most = 2 * int(self.padding)
        offsets = torch.randint(0, most + 1, (2, len(images)), generator=draw.random, device=images.device)
        return self.cut(images, int(self.padding), offsets[0], offsets[1])

    def cut(self, images: Tensor, padding: int, top: Tensor, left: Tensor) -> Tensor:
        """The images at their places."""
        return crop(images, padding, top, left)


@dataclass(frozen=True)
class ReflectCrop(Crop):
    """As `Crop`, with the image mirrored at its edge, which is not repeated, in place of zeros."""

    name: ClassVar[str] = "reflect_crop"

    def cut(self, images: Tensor, padding: int, top: Tensor, left: Tensor) -> Tensor:
        """The images at their places."""
        return reflect_crop(images, padding, top, left)


def crop(images: Tensor, padding: int, top: Tensor, left: Tensor) -> Tensor:
    """The window of each padded image [n, C, H, W] that starts at its own `top` and `left` (int64 [n])."""
    height, width = images.shape[2:]
    return picked(F.pad(images, (padding,) * 4), counted(top, height), counted(left, width))


def reflect_crop(images: Tensor, padding: int, top: Tensor, left: Tensor) -> Tensor:
    """As `crop`, of images padded with what lies inside their edges; `padding` is less than their sides."""
    rows, columns = (
        side - 1 - (side - 1 - (counted(start, side) - padding).abs()).abs()
        for start, side in zip((top, left), images.shape[2:], strict=True)
    )
    return picked(images, rows, columns)


def counted(start: Tensor, count: int) -> Tensor:
    """The numbers from each `start` (int64 [n]) on: [n, count]."""
    return start.view(-1, 1) + torch.arange(count, device=start.device)


def picked(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of each image in its own rows [n, H] and columns [n, W]."""
    n, channels = images.shape[:2]
    image = torch.arange(n, device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, -1, 1, 1)
    return images[image, channel, rows.view(n, 1, -1, 1), columns.view(n, 1, 1, -1)]


@dataclass(frozen=True)
class Rotation:
    """Turn about the centre by an angle drawn from [-degrees, degrees]; bilinear, zeros outside."""

    degrees: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.degrees <= 180:
            raise SettingError(f"data.augment: rotation takes degrees above 0 and up to 180, not {self.degrees}")

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        """Each image turned, as float32."""
        draws = torch.rand(len(images), generator=draw.random, device=images.device)
        return rotate(images, (2 * draws - 1) * self.degrees)


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Each image [n, C, H, W] turned counter-clockwise by its own angle (float [n]); the result is float32."""
    n, _, height, width = images.shape
    angle = degrees.view(-1, 1) * (math.pi / 180)
    # Where each pixel comes from, in coordinates from -1 to 1 (so that an image that is not square needs its aspect put
    # in). The sum of a part for the row and one for the column: F.affine_grid takes twice as long.
    x, y = (2 * torch.arange(count, device=images.device) / count + (1 / count - 1) for count in (width, height))
    grid = torch.empty(n, height, width, 2, device=images.device)
    rows = torch.stack([-angle.sin() * (height / width) * y, angle.cos() * y])  # [2, n, H]
    columns = torch.stack([angle.cos() * x, angle.sin() * (width / height) * x])  # [2, n, W]
    torch.add(rows[0].unsqueeze(2), columns[0].unsqueeze(1), out=grid[..., 0])
    torch.add(rows[1].unsqueeze(2), columns[1].unsqueeze(1), out=grid[..., 1])
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


TRANSFORMS: dict[str, Callable[..., Transform]] = {
    "flip": Flip,
    "alternating_flip": AlternatingFlip,
    "crop": Crop,
    "reflect_crop": ReflectCrop,
    "rotation": Rotation,
}


def parse(items: Sequence[str | Mapping[str, Any]], size: int) -> tuple[Transform, ...]:
    """The transforms of a list such as `["flip", {"crop": 4}, {"rotation": 2}]` for images of `size`, in its order.

    Raises:
        SettingError: a name that is none, or an amount out of range.
    """
    transforms: list[Transform] = []
    for item in items:
        pairs = [(item, [])] if isinstance(item, str) else [(name, [amount]) for name, amount in item.items()]
        for name, amount in pairs:
            if name not in TRANSFORMS:
                raise SettingError(f"data.augment: {name} is unknown; {choices(name, TRANSFORMS)}")
            if name == "alternating_flip" and amount:
                raise SettingError(f"data.augment: alternating_flip takes no amount, not {amount[0]}")
            transforms.append(TRANSFORMS[name](*amount))
            if isinstance(transforms[-1], ReflectCrop) and transforms[-1].padding >= size:
                raise SettingError(
                    f"data.augment: reflect_crop takes a padding smaller than the images' {size} pixels,"
                    f" not {transforms[-1].padding}"
                )
    return tuple(transforms)

"""Usual augmentation of photographs, with the distributions of torchvision's classes of the same names."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labbook.data.augment import color, geometry
from labbook.data.augment.basic import Draw, Transform, change_groups, with_amounts
from labbook.data.augment.geometry import Box
from labbook.errors import SettingError


def uniform(draw: Draw, count: int, device: torch.device, low: float, high: float) -> Tensor:
    """A number from `low` to `high` for each image, [n]."""
    return low + (high - low) * torch.rand(count, generator=draw.random, device=device)


def chosen(images: Tensor, draw: Draw, probability: float) -> list[int]:
    """The rows of the images to change."""
    found = torch.rand(len(images), generator=draw.random, device=images.device) < probability
    rows: list[int] = found.nonzero().flatten().tolist()
    return rows


def check_range(name: str, option: str, low: Any, high: Any, least: float, most: float) -> None:
    if not least <= low <= high <= most:
        raise SettingError(
            f"data.augment: {name} takes {option} of two numbers from {least:g} to {most:g}, the smaller first, not"
            f" {[low, high]}"
        )


@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """A box of random size and shape, resized to the network's image size (Szegedy et al., arXiv 1409.4842).

    `scale` is the range of its area as a fraction of the image, `ratio` that of width / height. With
    `data.decode_size` the box is from larger images.
    """

    TRIES: ClassVar[int] = 10  # to find a box within the image
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        check_range(self.name, "scale", *self.scale, 0, 1)
        check_range(self.name, "ratio", *self.ratio, 0.01, 100)

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        return geometry.resized_crops(images, self.boxes(images, draw), draw.size or images.shape[-1])

    def boxes(self, images: Tensor, draw: Draw) -> list[Box]:
        """A box for each image [n, C, H, W]: the first try that fits, or the largest at the center."""
        (n, _, height, width), device = images.shape, images.device
        numbers = torch.rand(2 * self.TRIES + 2, n, generator=draw.random, device=device)
        return [self.box(height, width, *each) for each in numbers.t().tolist()]

    def box(self, height: int, width: int, *numbers: float) -> Box:
        """The box of an image by random numbers from 0 to 1: of areas, of shapes, and of its place."""
        low, high = map(math.log, self.ratio)
        *tries, down, across = numbers
        for size, shape in zip(tries[: self.TRIES], tries[self.TRIES :], strict=True):
            inside = height * width * (self.scale[0] + (self.scale[1] - self.scale[0]) * size)
            ratio = math.exp(low + (high - low) * shape)
            rows, columns = round(math.sqrt(inside / ratio)), round(math.sqrt(inside * ratio))
            if 0 < rows <= height and 0 < columns <= width:
                return int(down * (height - rows + 1)), int(across * (width - columns + 1)), rows, columns
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        rows, columns = min(round(width / ratio), height), min(round(height * ratio), width)
        return (height - rows) // 2, (width - columns) // 2, rows, columns


@dataclass(frozen=True)
class ColorJitter(Transform):
    """Brightness, contrast and saturation times 1 - x to 1 + x, hue rotated by -x to x, in random order."""

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0

    def __post_init__(self) -> None:
        for option, most in (("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
            if not 0 <= getattr(self, option) <= most:
                raise SettingError(
                    f"data.augment: {self.name} takes {option} from 0 to {most}, not {getattr(self, option)}"
                )

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        n, device = len(images), images.device
        factors = [
            uniform(draw, n, device, max(0, 1 - amount), 1 + amount)
            for amount in (self.brightness, self.contrast, self.saturation)
        ]
        amounts = [*factors, uniform(draw, n, device, -self.hue, self.hue)]
        order = torch.rand(n, 4, generator=draw.random, device=device).argsort(1)
        changes = (color.brightness, color.contrast, color.saturation, color.hue)[: 4 if self.hue else 3]
        groups = [
            (rows.tolist(), with_amounts(change, amounts[number][rows]))
            for place in range(4)
            for number, change in enumerate(changes)
            for rows in [(order[:, place] == number).nonzero().flatten()]
        ]
        return change_groups(images, groups)


@dataclass(frozen=True)
class Grayscale(Transform):
    """Without color, with a probability."""

    probability: float = 0.1

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        rows = chosen(images, draw, self.probability)
        return change_groups(images, [(rows, lambda group: color.grey(group).expand_as(group))])


@dataclass(frozen=True)
class Blur(Transform):
    """Gaussian blur with a standard deviation from `sigma` (pixels), with a probability."""

    probability: float = 0.5
    sigma: tuple[float, float] = (0.1, 2.0)
    kernel: int = 5  # pixels

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self.name, "sigma", *self.sigma, 0.01, 100)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise SettingError(f"data.augment: {self.name} takes an odd kernel of at least 1 pixel, not {self.kernel}")

    def check_size(self, size: int) -> None:
        """Padding by reflection needs images larger than half of the kernel."""
        if self.kernel // 2 >= size:
            raise SettingError(
                f"data.augment: {self.name} takes a kernel of less than twice the images' {size} pixels, not"
                f" {self.kernel}"
            )

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        rows = chosen(images, draw, self.probability)
        sigmas = uniform(draw, len(images), images.device, *self.sigma)[rows]
        return change_groups(images, [(rows, lambda group: color.blur(group, sigmas, self.kernel))])


@dataclass(frozen=True)
class Perspective(Transform):
    """With a probability, each corner is moved inwards by up to `distortion` / 2 of a side."""

    probability: float = 0.5
    distortion: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.distortion <= 1:
            raise SettingError(f"data.augment: {self.name} takes a distortion from 0 to 1, not {self.distortion}")

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        rows = chosen(images, draw, self.probability)
        height, width = images.shape[2:]
        moves = torch.rand(len(images), 4, 2, generator=draw.random, device=images.device)
        most = torch.tensor([int(self.distortion * (side // 2)) + 1 for side in (width, height)], device=images.device)
        inward = (moves * most).long()
        right = torch.tensor([width - 1, 0], device=images.device)
        bottom = torch.tensor([0, height - 1], device=images.device)
        signs = torch.tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]], device=images.device)
        corners = (torch.stack([0 * right, right, right + bottom, bottom]) + signs * inward)[rows]
        return change_groups(images, [(rows, lambda group: geometry.perspective(group, corners))])

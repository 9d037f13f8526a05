"""Geometric transforms with an amount for each image, as torchvision's functions of the same names."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Box = tuple[int, int, int, int]  # top, left, height, width in pixels


def sample(images: Tensor, places: Tensor, mode: str) -> Tensor:
    """The pixels at `places` [n, H, W, 2] (x and y from the center, in pixels); black outside. Float [n, C, H, W]."""
    height, width = images.shape[2:]
    scale = torch.tensor([2 / width, 2 / height], device=images.device)
    return F.grid_sample(images.float(), places * scale, mode=mode, padding_mode="zeros", align_corners=False)


def outer_sum(rows: Tensor, columns: Tensor) -> Tensor:
    """The sum of each row's and each column's point: [n, H, 2] and [n, W, 2] -> [n, H, W, 2].

    As complex numbers, because a CPU adds these several times faster than pairs.
    """
    points = (torch.view_as_complex(each.contiguous()) for each in (rows, columns))
    return torch.view_as_real(next(points).unsqueeze(2) + next(points).unsqueeze(1))


def affine(images: Tensor, matrices: Tensor, mode: str = "nearest") -> Tensor:
    """Affine transforms by matrices [n, 2, 3] from output to input coordinates, in pixels from the center."""
    y, x = (torch.arange(count, device=images.device) + (1 - count) / 2 for count in images.shape[2:])
    across, down, shift = (matrices[:, None, :, place] for place in range(3))  # [n, 1, 2]
    return sample(images, outer_sum(down * y.view(1, -1, 1) + shift, across * x.view(1, -1, 1)), mode)


def move(name: str, amounts: Tensor, height: int, width: int) -> Tensor:
    """Matrices [n, 2, 3] for `affine` of an operation of AutoAugment with amounts (float [n]).

    Shear moves rows to the left, or columns up, by the amount times their distance from the edge. Translate moves by
    whole pixels to the right or down. Rotate turns counter-clockwise by degrees.
    """
    zeros, ones = torch.zeros_like(amounts), torch.ones_like(amounts)
    if name == "ShearX":
        parts = ones, amounts, amounts * height / 2, zeros, ones, zeros
    elif name == "ShearY":
        parts = ones, zeros, zeros, amounts, ones, amounts * width / 2
    elif name == "TranslateX":
        parts = ones, zeros, -amounts.trunc(), zeros, ones, zeros
    elif name == "TranslateY":
        parts = ones, zeros, zeros, zeros, ones, -amounts.trunc()
    else:
        cosine, sine = amounts.deg2rad().cos(), amounts.deg2rad().sin()
        parts = cosine, -sine, zeros, sine, cosine, zeros
    return torch.stack(parts, 1).view(-1, 2, 3)


def perspective(images: Tensor, corners: Tensor) -> Tensor:
    """Perspective transforms that move the corners to `corners` [n, 4, 2]; bilinear, black outside. Float [n, C, H, W].

    The order is top left, top right, bottom right, bottom left; x and y in whole pixels from the top left.
    """
    height, width = images.shape[2:]
    starts = torch.tensor([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], device=images.device)
    n = len(images)
    # Where an output pixel (x, y) comes from: ((ax + by + c) / w, (dx + ey + f) / w) with w = gx + hy + 1.
    ends = corners.double()
    start = starts.double().expand(n, 4, 2)
    ones, zeros = torch.ones(n, 4, 3, dtype=torch.double, device=images.device), torch.zeros_like(start)
    place = torch.cat([ends, ones[..., :1]], -1)  # [n, 4, 3]
    rows_x = torch.cat([place, zeros, zeros[..., :1], -start[..., :1] * ends], -1)
    rows_y = torch.cat([zeros, zeros[..., :1], place, -start[..., 1:] * ends], -1)
    found = torch.linalg.solve(torch.cat([rows_x, rows_y], 1), torch.cat([start[..., 0], start[..., 1]], 1))
    matrices = torch.cat([found, ones[:, :1, 0]], 1).view(n, 3, 3).float()
    y, x = (torch.arange(count, device=images.device) + (1 - count) / 2 for count in (height, width))
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # [H, W, 2], from the center
    centre = torch.tensor([width / 2, height / 2], device=images.device)  # of coordinates plus half a pixel
    whole = torch.cat([grid + centre, torch.ones_like(grid[..., :1])], -1).view(1, -1, 3) @ matrices.transpose(1, 2)
    places = whole[..., :2] / whole[..., 2:] - centre
    return sample(images, places.view(n, height, width, 2), "bilinear")


def resized_crops(images: Tensor, boxes: Sequence[Box], size: int) -> Tensor:
    """A box of each image [n, C, H, W], resized to `size`: bilinear, antialiased.

    torch resizes uint8 on a CPU several times faster than floats, channels-last twice as fast, and one image at a time
    as fast as many. A GPU resizes floats only.
    """
    images = images if images.device.type == "cpu" else images.float()
    inside = (
        image[..., top : top + height, left : left + width]
        for image, (top, left, height, width) in zip(torch.split(images, 1), boxes, strict=True)
    )
    return torch.cat([F.interpolate(box, (size, size), mode="bilinear", antialias=True) for box in inside])

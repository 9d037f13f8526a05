"""Pixels of a batch moved, each image in its own way; as torchvision's functions of the same names do."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_grid(height: int, width: int, device: torch.device) -> Tensor:
    """The places of all pixels from the centre of the image, x and y: [H, W, 2], in pixels."""
    y, x = (torch.arange(count, device=device) + (1 - count) / 2 for count in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def sample(images: Tensor, places: Tensor, mode: str) -> Tensor:
    """The pixels at `places` [n, H, W, 2], x and y from the centre, in pixels; black outside. Float [n, C, H, W]."""
    height, width = images.shape[2:]
    scale = torch.tensor([2 / width, 2 / height], device=images.device)
    return F.grid_sample(images.float(), places * scale, mode=mode, padding_mode="zeros", align_corners=False)


def affine(images: Tensor, matrices: Tensor, mode: str = "nearest") -> Tensor:
    """Each output pixel taken from where its matrix [n, 2, 3] leads: places in pixels from the centre of the image."""
    grid = pixel_grid(*images.shape[2:], images.device)
    places = grid.view(1, -1, 2) @ matrices[:, :, :2].transpose(1, 2) + matrices[:, :, 2].unsqueeze(1)
    return sample(images, places.view(len(images), *grid.shape), mode)


def identities(count: int, device: torch.device) -> Tensor:
    """Matrices that move nothing, [n, 2, 3]."""
    return torch.eye(2, 3, device=device).repeat(count, 1, 1)


def shear_x(amounts: Tensor, height: int, width: int) -> Tensor:
    """Rows moved to the left by `amounts` [n] of their distance from the top: matrices [n, 2, 3]."""
    matrices = identities(len(amounts), amounts.device)
    matrices[:, 0, 1], matrices[:, 0, 2] = amounts, amounts * height / 2
    return matrices


def shear_y(amounts: Tensor, height: int, width: int) -> Tensor:
    """Columns moved up by `amounts` [n] of their distance from the left: matrices [n, 2, 3]."""
    matrices = identities(len(amounts), amounts.device)
    matrices[:, 1, 0], matrices[:, 1, 2] = amounts, amounts * width / 2
    return matrices


def translate_x(amounts: Tensor, height: int, width: int) -> Tensor:
    """Moved to the right by whole pixels, [n]: matrices [n, 2, 3]."""
    matrices = identities(len(amounts), amounts.device)
    matrices[:, 0, 2] = -amounts.trunc()
    return matrices


def translate_y(amounts: Tensor, height: int, width: int) -> Tensor:
    """Moved down by whole pixels, [n]: matrices [n, 2, 3]."""
    matrices = identities(len(amounts), amounts.device)
    matrices[:, 1, 2] = -amounts.trunc()
    return matrices


def turn(amounts: Tensor, height: int, width: int) -> Tensor:
    """Turned counter-clockwise by degrees, [n]: matrices [n, 2, 3]."""
    angles = amounts.deg2rad()
    matrices = identities(len(amounts), amounts.device)
    matrices[:, 0, 0] = matrices[:, 1, 1] = angles.cos()
    matrices[:, 0, 1], matrices[:, 1, 0] = -angles.sin(), angles.sin()
    return matrices


def perspective(images: Tensor, corners: Tensor) -> Tensor:
    """Each image seen so that its corners lie at `corners` [n, 4, 2]; bilinear, black outside. Float [n, C, H, W].

    The corners are top left, top right, bottom right and bottom left, x and y in whole pixels from the top left.
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
    grid = pixel_grid(height, width, images.device)
    centre = torch.tensor([width / 2, height / 2], device=images.device)  # of places with half a pixel added
    whole = torch.cat([grid + centre, torch.ones_like(grid[..., :1])], -1).view(1, -1, 3) @ matrices.transpose(1, 2)
    places = whole[..., :2] / whole[..., 2:] - centre
    return sample(images, places.view(n, height, width, 2), "bilinear")


def resized_crops(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """A box of each image, int64 [n, 4] (top, left, height, width), resized to `size`: bilinear, antialiased.

    torch resizes uint8 on a CPU several times faster than floats, and one image at a time as fast as many.
    """
    resized = torch.empty((*images.shape[:2], size, size), dtype=images.dtype, device=images.device)
    for image, place, (top, left, height, width) in zip(images.split(1), resized.split(1), boxes.tolist(), strict=True):
        box = image[..., top : top + height, left : left + width]
        place.copy_(F.interpolate(box, (size, size), mode="bilinear", antialias=True))
    return resized

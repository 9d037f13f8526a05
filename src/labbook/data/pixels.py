"""A whole set of images: its size, its channels, and whether a device has room for it."""

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (0.299, 0.587, 0.114)  # ITU-R 601 luma, as Pillow converts


def shaped(pixels: Tensor, size: int, channels: int) -> Tensor:
    """Images uint8 [N, C, H, W] at a square size (bilinear, antialiased) and with 1 or 3 channels."""
    if pixels.shape[1] == 1 and channels == 3:
        pixels = pixels.expand(-1, 3, -1, -1)
    elif pixels.shape[1] == 3 and channels == 1:
        weights = torch.tensor(GREY).view(1, 3, 1, 1)
        parts = torch.split(pixels, 4096)
        pixels = torch.cat([(part.float() * weights).sum(1, keepdim=True).round().byte() for part in parts])
    if pixels.shape[-2:] != (size, size):
        pixels = torch.cat([resized(part, size) for part in torch.split(pixels, 4096)])
    return pixels


def resized(pixels: Tensor, size: int) -> Tensor:
    """Images uint8 [N, C, H, W] to [N, C, size, size]."""
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)


def fits(pixels: Tensor, device: torch.device) -> bool:
    """Whether a set may live on the device: on a GPU if it takes less than half of what is free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return pixels.numel() < free / 2
    return device.type == "mps"

"""Size and channels of the images of a data set, and whether they fit on a device."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from labbook.errors import SettingError

GREY = (0.299, 0.587, 0.114)  # ITU-R 601 luma, as Pillow converts


def resize_and_convert(pixels: Tensor, size: int, channels: int) -> Tensor:
    """Images uint8 [N, C, H, W] to a square size (bilinear, antialiased) and 1 or 3 channels.

    Images that need no change are returned as they are, such as a memory map larger than the memory.
    """
    if pixels.shape[1:] == (channels, size, size):
        return pixels
    needed, there = len(pixels) * channels * size**2, machine_memory()
    if needed > there:
        raise SettingError(
            f"{len(pixels):,} images of {channels} x {size} x {size} pixels take {needed / 1e9:,.1f} GB and this"
            f" machine has {there / 1e9:,.1f} GB of memory: use a smaller data.image_size, or fewer by data.limit"
        )
    if pixels.shape[1] == 1 and channels == 3:
        pixels = pixels.expand(-1, 3, -1, -1)
    elif pixels.shape[1] == 3 and channels == 1:
        weights = torch.tensor(GREY).view(1, 3, 1, 1)
        parts = torch.split(pixels, 4096)
        pixels = torch.cat([(part.float() * weights).sum(1, keepdim=True).round().byte() for part in parts])
    if pixels.shape[-2:] != (size, size):
        whole = pixels.new_empty(*pixels.shape[:2], size, size)
        for part, place in zip(torch.split(pixels, 4096), torch.split(whole, 4096), strict=True):
            place.copy_(resize_images(part, size))
        pixels = whole
    return pixels


def resize_images(pixels: Tensor, size: int) -> Tensor:
    """Images uint8 [N, C, H, W] to [N, C, size, size]."""
    if size > 1:
        return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    # torch takes an output of one uint8 pixel for channels-last and fails an assertion
    return F.interpolate(pixels.float(), (1, 1), mode="bilinear", antialias=True).round().byte()


def machine_memory() -> int:
    """Total memory of the machine or of its container, in bytes; on Windows, which does not say it, above any."""
    if not hasattr(os, "sysconf"):
        return sys.maxsize
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no container, or one without a limit
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return total


def fits_on_device(tensors: Iterable[Tensor], device: torch.device) -> bool:
    """Whether tensors take less than half of the free memory of a GPU; on Apple's, half of the machine's memory."""
    needed = sum(tensor.nbytes for tensor in tensors)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return needed < free / 2
    return device.type == "mps" and needed < machine_memory() / 2

"""Images of a network under a heat map."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from labbook.plots import fonts
from labbook.plots.contact_sheet import LINE, MARGIN, SIZE, Picture, write_line

SIDE = 352  # pixels: the minimum size of an enlarged image
FOR, AGAINST = (255, 120, 0), (40, 130, 255)  # orange and blue, for color-blind people too


def enlarge(pixels: Tensor) -> Picture:
    """An image uint8 [1, C, H, W] with each pixel as a square: uint8 [h, w, 3] with sides of `SIDE` or more."""
    times = max(1, -(-SIDE // pixels.shape[-2]))
    image: Picture = pixels[0].expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()
    return image.repeat(times, axis=0).repeat(times, axis=1)


def overlay_heat(pixels: Tensor, heat: Tensor) -> Tensor:
    """An image uint8 [1, C, H, W] in pale grey under `heat` [H, W] from -1 (blue) to 1 (orange): uint8 [1, 3, H, W]."""
    grey = pixels.float().mean(1, keepdim=True).cpu() * 0.5 + 64
    heat = heat.cpu()[None, None]
    warm, cold = (torch.tensor(each).view(1, 3, 1, 1) for each in (FOR, AGAINST))
    share = heat.abs() ** 0.7  # weak values would be invisible
    return (grey * (1 - share) + torch.where(heat > 0, warm, cold) * share).round().byte()


def heat_map_picture(pixels: Tensor, heat: Tensor, lines: Sequence[str]) -> Picture:
    """An image uint8 [1, C, H, W], beside it the same under its heat [H, W], 0 or more; below them lines of text."""
    scaled = heat / heat.max() if heat.max() > 0 else heat
    tiles = [enlarge(pixels), enlarge(overlay_heat(pixels, scaled))]
    height, width = tiles[0].shape[:2]
    page = Image.new("RGB", (2 * width + 3 * MARGIN, height + 3 * MARGIN + len(lines) * LINE), "white")
    for place, tile in enumerate(tiles):
        page.paste(Image.fromarray(tile), (MARGIN + place * (width + MARGIN), MARGIN))
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        text, top = fonts.fit_text(line, SIZE, page.width - 2 * MARGIN), height + 2 * MARGIN + number * LINE
        write_line(draw, text, MARGIN, top, SIZE)
    return np.asarray(page)

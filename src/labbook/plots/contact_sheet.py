"""Contact sheets: many images in a grid, each with lines of text below it."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from labbook.plots import fonts

Picture = NDArray[np.uint8]

CELL, MARGIN = 144, 8  # pixels of an image, and of its margin
LINE, SIZE = 17, 12  # pixels of a line of text, and of its letters
TITLE_LINE, TITLE = 22, 15
NARROWEST = 480  # minimum pixels of a sheet, for its title


class CaptionLine(NamedTuple):
    """A line below an image: a name, which may be shortened, and text that may not."""

    name: str
    value: str = ""


def contact_sheet(images: Picture, captions: Sequence[Sequence[CaptionLine]], title: str, columns: int = 8) -> Picture:
    """Images [n, H, W, C] in a grid, each with its lines; names come from `fonts.drawable_names`."""
    columns = min(columns, len(images))
    step, text = CELL + MARGIN, max(map(len, captions), default=0) * LINE
    width = max(columns * step + MARGIN, NARROWEST)
    heading = fonts.wrap_text(fonts.replace_undrawable(title), TITLE, width - 2 * MARGIN)
    top = len(heading) * TITLE_LINE + MARGIN
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (width, top + rows * (step + text + MARGIN)), "white")
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(heading):
        write_line(draw, line, (width - fonts.width_of_text(line, TITLE)) / 2, number * TITLE_LINE + MARGIN / 2, TITLE)
    for index, (image, lines) in enumerate(zip(images, fit_captions(captions), strict=True)):
        left = index % columns * step + MARGIN
        upper = top + index // columns * (step + text + MARGIN)
        tile = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        page.paste(tile.resize((CELL, CELL), Image.Resampling.NEAREST), (left, upper))
        for number, line in enumerate(lines):
            write_line(draw, line, left, upper + CELL + 2 + number * LINE, SIZE)
    return np.asarray(page)


def write_line(draw: ImageDraw.ImageDraw, text: str, left: float, top: float, size: int) -> None:
    for part, font in fonts.split_by_font(text, size):
        draw.text((left, top + size), part, fill="black", font=font, anchor="ls")
        left += font.getlength(part)


def fit_captions(captions: Sequence[Sequence[CaptionLine]]) -> list[tuple[str, ...]]:
    """The lines of text below each image, in which names that are too long are shortened."""
    places = []
    for lines in zip_longest(*captions, fillvalue=CaptionLine("")):  # at one place in all captions
        values = [f"  {line.value}" if line.value else "" for line in lines]
        room = CELL - max(fonts.width_of_text(value, SIZE) for value in values)
        places.append(
            [fonts.fit_text(line.name, SIZE, room) + value for line, value in zip(lines, values, strict=True)]
        )
    return list(zip(*places, strict=True)) or [()] * len(captions)


def image_name(files: Sequence[str], row: int) -> str:
    """The name of an image: its file and folder, or its index in the set."""
    return file_name(files[row]) if files else f"image {row}"


def file_name(path: str) -> str:
    """A file and its folder, with drawable characters."""
    return fonts.replace_undrawable("/".join(PurePath(path).parts[-2:]))

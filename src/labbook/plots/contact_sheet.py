"""Contact sheets: many images in a grid, each with lines of text below it."""

from collections.abc import Sequence
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
    for index, (image, lines) in enumerate(zip(images, captions, strict=True)):
        left = index % columns * step + MARGIN
        upper = top + index // columns * (step + text + MARGIN)
        tile = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        page.paste(tile.resize((CELL, CELL), Image.Resampling.NEAREST), (left, upper))
        for number, line in enumerate(map(fit_caption, lines)):
            write_line(draw, line, left, upper + CELL + 2 + number * LINE, SIZE)
    return np.asarray(page)


def write_line(draw: ImageDraw.ImageDraw, text: str, left: float, top: float, size: int) -> None:
    for part, font in fonts.split_by_font(text, size):
        draw.text((left, top + size), part, fill="black", font=font, anchor="ls")
        left += font.getlength(part)


def fit_caption(line: CaptionLine) -> str:
    """The text of a line, with the middle of its name left out if it is too long."""
    value = f"  {line.value}" if line.value else ""
    return fonts.fit_text(line.name, SIZE, CELL - fonts.width_of_text(value, SIZE)) + value


def image_name(files: Sequence[str], row: int) -> str:
    """The name of an image: its file and folder, or its index in the set."""
    return file_name(files[row]) if files else f"image {row}"


def file_name(path: str) -> str:
    """A file and its folder, with drawable characters."""
    return fonts.replace_undrawable("/".join(PurePath(path).parts[-2:]))

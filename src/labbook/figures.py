"""Pictures of a run as pixels, uint8 [height, width, 3], made without any global state."""

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from labbook.data.spec import ImageSpec
from labbook.evaluation.calibration import Bin
from labbook.files import replacing
from labbook.models.classifier import Outcome
from labbook.recorder import Row

TRAIN, HELD_OUT = "#1f77b4", "#d62728"
CELL, MARGIN = 144, 8  # pixels of an image in a gallery, and around it
MOST_NUMBERS = 20  # classes up to which a confusion matrix has its counts written in


Picture = NDArray[np.uint8]


def curves(rows: Sequence[Row], held_out: str) -> Picture:
    """Loss and accuracy by epoch, training against `held_out` (the name of what was validated on)."""
    figure = Figure(figsize=(9, 3.6), dpi=120)
    figure.subplots_adjust(left=0.06, right=0.98, bottom=0.14, top=0.91, wspace=0.15)
    for axes, name, title in zip(
        figure.subplots(1, 2), ("loss", "acc"), ("loss by epoch", "accuracy by epoch"), strict=True
    ):
        for part, label, colour in (("train", "training", TRAIN), ("val", held_out, HELD_OUT)):
            points = [(row["epoch"], row[f"{part}/{name}"]) for row in rows if f"{part}/{name}" in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, color=colour, marker="o", markersize=3)
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        axes.legend()
    return pixels(figure)


def confusion_matrix(
    counts: Tensor, class_names: Sequence[str], title: str, predicted_names: Sequence[str] | None = None
) -> Picture:
    """True classes downwards, predicted across, coloured by the part of the true class; int64 [classes, classes].

    `predicted_names` are what the network calls its classes, where the data has other names for them.
    """
    matrix = counts.numpy()
    classes = len(class_names)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(4 + 0.42 * classes, 16)
    figure = Figure(figsize=(side + 0.8, side), dpi=120, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8, label="part of the true class")
    size = 9 if classes <= MOST_NUMBERS else 4
    names = [f"{name}  {part:.0%}" for name, part in zip(class_names, share.diagonal(), strict=True)]
    across = predicted_names or class_names
    look: dict[str, Any] = {"fontsize": size, "parse_math": False}  # names may hold a $
    axes.set_xticks(range(classes), across, rotation=90 if max(map(len, across)) > 2 else 0, **look)
    axes.set_yticks(range(classes), names, **look)
    axes.set(xlabel="predicted", ylabel="true class and its accuracy", title=title)
    if classes <= MOST_NUMBERS:
        for row, column in np.argwhere(matrix):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    return pixels(figure)


def reliability(bins: Sequence[Bin], title: str) -> Picture:
    """How often the network is right by how sure it is, above how many images it is so sure of."""
    figure = Figure(figsize=(5, 5.6), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    left, widths = [item.low for item in bins], [item.high - item.low for item in bins]
    look: dict[str, Any] = {"align": "edge", "color": TRAIN, "edgecolor": "white"}
    above.bar(left, [item.accuracy if item.images else 0 for item in bins], widths, label="accuracy by bin", **look)
    filled = [item for item in bins if item.images]
    means = [[item.confidence for item in filled], [item.accuracy for item in filled]]
    above.plot(*means, "o", color=HELD_OUT, markersize=4, label="accuracy at a bin's mean confidence", clip_on=False)
    above.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle="--", label="as often right as sure")
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy", title=title)
    above.legend(loc="upper left", fontsize=8)
    below.bar(left, [item.images for item in bins], widths, **look)
    below.set(xlabel="confidence: probability of the predicted class", ylabel="images")
    return pixels(figure)


def mistakes(
    outcome: Outcome, images: Tensor, names: Sequence[str], title: str, count: int, predicted: Sequence[str] = ()
) -> Picture | None:
    """The images taken for another class with the most confidence; None where there is none.

    `images` uint8 [N, C, H, W] are those that `outcome.rows` are rows of; `predicted` are the network's own names.
    """
    wrong = surest_mistakes(outcome, count)
    if not wrong:
        return None
    said = zip(outcome.labels[wrong], outcome.predicted[wrong], outcome.confidence[wrong], strict=True)
    captions = [f"{names[true]} → {(predicted or names)[taken]}  {sure:.0%}" for true, taken, sure in said]
    return gallery(tiles(images[outcome.rows[wrong]]), captions, title, columns=5)


def surest_mistakes(outcome: Outcome, count: int) -> list[int]:
    """Positions in the outcome whose prediction is wrong, the most confident first."""
    wrong = (outcome.predicted != outcome.labels).nonzero().flatten()
    order = outcome.confidence[wrong].argsort(descending=True, stable=True)
    positions: list[int] = wrong[order][:count].tolist()
    return positions


def gallery(images: Picture, captions: Sequence[str], title: str, columns: int = 8) -> Picture:
    """Images [n, H, W, C] in a grid, each with its caption."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    line, step = 22, CELL + MARGIN  # pixels of a line of text, and from an image to the next
    page = Image.new("RGB", (columns * step + MARGIN, rows * (step + line) + 2 * line), "white")
    draw = ImageDraw.Draw(page)
    title = fitted(title, 15, page.width - MARGIN)
    draw.text((page.width / 2, line), title, fill="black", font=font(15), anchor="mm")
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left = index % columns * step + MARGIN
        top = index // columns * (step + line) + 2 * line
        draw.text(
            (left + CELL / 2, top + line / 2), fitted(caption, 11, CELL), fill="black", font=font(11), anchor="mm"
        )
        tile = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        page.paste(tile.resize((CELL, CELL), Image.Resampling.NEAREST), (left, top + line))
    return np.asarray(page)


def fitted(text: str, size: int, width: int) -> str:
    """A text, cut where in this size it is wider than so many pixels."""
    while font(size).getlength(text) > width and len(text) > 2:
        text = f"{text[:-2]}…"
    return text


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font of the other pictures."""
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def pixels(figure: Figure) -> Picture:
    """A figure, drawn."""
    canvas: Any = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of names in other scripts
        canvas.draw()
    drawn: Picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return drawn


def save(picture: Picture, file: Path) -> None:
    """Write a picture as PNG.

    Raises:
        OSError: it could not be written.
    """
    with replacing(file) as partial:
        Image.fromarray(picture).save(partial, format="PNG")


def tiles(images: Tensor, spec: ImageSpec | None = None) -> Picture:
    """Images [n, C, H, W] as `gallery` takes them: uint8 pixels, or what `spec` normalised, taken back."""
    values = images.float().cpu()
    if spec is not None:
        values = 255 * (
            values * values.new_tensor(spec.std).view(-1, 1, 1) + values.new_tensor(spec.mean).view(-1, 1, 1)
        )
    result: Picture = values.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return result

"""The confusion matrix: its size depends on the classes and their names; for many classes, a list of pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from labbook.plots import fonts
from labbook.plots.most_confused import MOST_CLASSES, most_confused

Counts = NDArray[np.int64]

CELL, SMALL_CELL = 0.36, 0.2  # inches; with counts, and without
MOST_NUMBERS = 20  # up to so many classes, cells have counts
SIDE = 2.2  # minimum inches of a matrix
NAME = 1.7  # maximum inches of a name
SIZE, TITLE = 8, 9  # points
POINTS = 72  # per inch
GAP = 0.12  # inches
LINE = 0.17  # inches per line of text
LIGHTEST = "#f7fbff"  # of the color map


def confusion_plot(counts: Counts, names: Sequence[str], predicted_names: Sequence[str], title: str) -> Figure:
    """Counts by true and predicted class, int64 [classes, classes], as a matrix or, for many classes, as pairs.

    The names come from `fonts.drawable_names`.
    """
    return (matrix_plot if len(names) <= MOST_CLASSES else pairs_plot)(counts, names, predicted_names, title)


def matrix_plot(counts: Counts, names: Sequence[str], predicted_names: Sequence[str], title: str) -> Figure:
    """True classes down, predicted across, coloured by the fraction of the true class."""
    classes = len(names)
    numbers = classes <= MOST_NUMBERS
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    down = [f"{name}  {part:.0%}" for name, part in zip(shorten_names(names), share.diagonal(), strict=True)]
    across = shorten_names(predicted_names)
    side = max(SIDE, classes * (CELL if numbers else SMALL_CELL))
    turned = max(map(text_width, across)) > side / classes - 0.05
    left, bottom = max(map(text_width, down)) + 3 * GAP, (max(map(text_width, across)) if turned else LINE) + 2.2 * GAP
    width = left + side + (GAP if numbers else 6 * GAP)
    lines = wrap_title(title, width - 2 * GAP)
    height = bottom + side + GAP + len(lines) * 1.2 * LINE
    figure = Figure(figsize=(width, height), dpi=120)
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    look: dict[str, Any] = {"fontsize": SIZE, "parse_math": False, "family": fonts.font_families([*down, *across])}
    axes.set_xticks(range(classes), across, rotation=90 if turned else 0, **look)
    axes.set_yticks(range(classes), down, **look)
    axes.tick_params(length=2, pad=2)
    axes.grid(visible=False)
    figure.text((left + side / 2) / width, 0.06 / height, "predicted class", ha="center", fontsize=SIZE)
    figure.text(
        0.06 / width, (bottom + side / 2) / height, "true class, and its accuracy",
        rotation=90, va="center", fontsize=SIZE,
    )  # fmt: skip
    write_title(figure, lines)
    if numbers:
        write_counts(axes, counts, share)
    else:
        bar = figure.add_axes(((left + side + GAP) / width, bottom / height, GAP / width, side / height))
        figure.colorbar(image, cax=bar).ax.tick_params(labelsize=SIZE)
    return figure


def write_counts(axes: Axes, counts: Counts, share: NDArray[np.float64]) -> None:
    """Write the counts into the cells; zeros are left out."""
    size = SIZE if counts.max() < 10_000 else SIZE - 2
    for row, column in np.argwhere(counts):
        colour = LIGHTEST if share[row, column] > 0.5 else "black"
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour, fontsize=size)


def pairs_plot(counts: Counts, names: Sequence[str], predicted_names: Sequence[str], title: str) -> Figure:
    found = most_confused(counts)
    true = shorten_names([names[pair.true] for pair in found])
    predicted = shorten_names([predicted_names[pair.predicted] for pair in found])
    labels = [f"{first} → {second}" for first, second in zip(true, predicted, strict=True)]
    left = max(map(text_width, labels), default=0) + 2 * GAP
    width, bar = left + 3.4, 1.35 * LINE
    heading = f"{title}; the most confused of {len(names)} classes (true → predicted)"
    lines = wrap_title(heading if found else f"{title}; no image is wrong", width - 2 * GAP)
    bottom, top = 0.45, len(lines) * 1.2 * LINE + GAP
    height = bottom + max(len(found), 1) * bar + top
    figure = Figure(figsize=(width, height), dpi=120)
    axes = figure.add_axes((left / width, bottom / height, 2.5 / width, 1 - (bottom + top) / height))
    images = [pair.images for pair in found]
    axes.barh(range(len(found)), images, color="#4a86d0", height=0.75)
    axes.set_yticks(range(len(found)), labels, fontsize=SIZE, parse_math=False, family=fonts.font_families(labels))
    axes.set(ylim=(max(len(found), 1) - 0.5, -0.5), xlim=(0, max(images, default=1) * 1.02))
    axes.set_xlabel("images, and their fraction of the true class", fontsize=SIZE)
    axes.tick_params(labelsize=SIZE, length=2)
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    for place, pair in enumerate(found):
        axes.annotate(
            f"{pair.images}  ({pair.share:.0%})", (pair.images, place), (3, 0), textcoords="offset points",
            va="center", fontsize=SIZE,
        )  # fmt: skip
    write_title(figure, lines)
    return figure


def write_title(figure: Figure, lines: Sequence[str]) -> None:
    look: dict[str, Any] = {"fontsize": TITLE, "parse_math": False, "family": fonts.font_families(lines)}
    figure.text(0.5, 1 - 0.06 / figure.get_figheight(), "\n".join(lines), ha="center", va="top", **look)


def shorten_names(names: Sequence[str]) -> list[str]:
    return [fonts.fit_text(name, SIZE, NAME * POINTS) for name in names]


def text_width(text: str, size: int = SIZE) -> float:
    return fonts.width_of_text(text, size) / POINTS


def wrap_title(title: str, room: float) -> list[str]:
    """A title in lines of at most `room` inches."""
    return fonts.wrap_text(title, TITLE, room * POINTS)

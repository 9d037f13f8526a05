"""Pictures of a run, as matplotlib figures made without any global state."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from labbook.data.spec import ImageSpec
from labbook.recorder import Row

TRAIN, HELD_OUT = "#1f77b4", "#d62728"
MOST_NUMBERS = 20  # classes up to which a confusion matrix has its counts written in


def curves(rows: Sequence[Row], held_out: str) -> Figure:
    """Loss and accuracy by epoch, training against `held_out` (the name of what was validated on)."""
    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    for axes, name, title in zip(figure.subplots(1, 2), ("loss", "acc"), ("loss", "accuracy"), strict=True):
        for part, label, colour in (("train", "training", TRAIN), ("val", held_out, HELD_OUT)):
            points = [(row["epoch"], row[f"{part}/{name}"]) for row in rows if f"{part}/{name}" in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, color=colour, marker="o", markersize=3)
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def confusion_matrix(counts: Tensor, class_names: Sequence[str], accuracy: float) -> Figure:
    """True classes downwards, predicted across, coloured by the part of the true class; int64 [classes, classes]."""
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
    axes.set_xticks(range(classes), class_names, rotation=90 if max(map(len, class_names)) > 2 else 0, fontsize=size)
    axes.set_yticks(range(classes), names, fontsize=size)
    axes.set(xlabel="predicted", ylabel="true class and its accuracy", title=f"test accuracy {accuracy:.2%}")
    if classes <= MOST_NUMBERS:
        for row, column in np.argwhere(matrix):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    return figure


def gallery(images: "np.ndarray[Any, Any]", captions: Sequence[str], title: str, columns: int = 8) -> Figure:
    """Images [n, H, W, C] in [0, 1] in a grid, each with its caption."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.35 * columns, 1.55 * rows + 0.4), dpi=120, layout="constrained")
    figure.suptitle(title, fontsize=10)
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if index < len(images):
            image = images[index]
            axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
            axes.set_title(captions[index], fontsize=7)
    return figure


def shown(images: Tensor, spec: ImageSpec | None = None) -> "np.ndarray[Any, Any]":
    """Images [n, C, H, W] as `gallery` takes them: uint8 pixels, or what `spec` normalised, taken back."""
    pixels = images.float().cpu()
    if spec is None:
        pixels = pixels / 255
    else:
        pixels = pixels * pixels.new_tensor(spec.std).view(-1, 1, 1) + pixels.new_tensor(spec.mean).view(-1, 1, 1)
    result: np.ndarray[Any, Any] = pixels.clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return result

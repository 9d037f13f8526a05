"""Plots of a run as pixels, uint8 [height, width, 3], without global state."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from labbook.data.datamodule import Images
from labbook.data.image_spec import ImageSpec
from labbook.plots import fonts
from labbook.plots.confusion_matrix import confusion_plot
from labbook.plots.contact_sheet import CaptionLine, Picture, contact_sheet, image_name
from labbook.runs.outputs import open_output
from labbook.training.epoch_rows import MOST, USUAL, Row, is_layer_metric, metric_names, part_of_metric, without_part
from labbook.training.label_tasks import EvaluationResult

TITLES = {"acc": "accuracy"}
TRAIN, HELD_OUT = "#1f77b4", "#d62728"


class NotebookFigure(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def plot_curves(rows: Sequence[Row], held_out: str) -> Picture:
    return figure_pixels(metric_curves(rows, held_out))


def metric_curves(rows: Sequence[Row], held_out: str) -> Figure:
    """Loss and accuracy by epoch, training against `held_out` (the name of the validation data).

    For runs without them, the first metrics they have.
    """
    names = shown_metrics(rows)
    figure = NotebookFigure(figsize=(4.5 * len(names), 3.6), dpi=120)
    figure.subplots_adjust(left=0.12 / len(names), right=1 - 0.04 / len(names), bottom=0.14, top=0.91, wspace=0.15)
    labels = {"train": ("training", TRAIN), "val": (held_out, HELD_OUT), "": (None, TRAIN)}
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for column in (column for column in row_columns(rows) if without_part(column) == name):
            label, colour = labels[part_of_metric(column)]
            points = [(row["epoch"], row[column]) for row in rows if column in row]
            axes.plot(*zip(*points, strict=True), label=label, color=colour, marker="o", markersize=3)
        axes.set(xlabel="epoch", title=f"{TITLES.get(name, name)} by epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    return figure


def row_columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in metric_names(row) if not is_layer_metric(name)))


def shown_metrics(rows: Sequence[Row]) -> list[str]:
    """The metrics with a curve, without the data split."""
    names = list(dict.fromkeys(without_part(column) for column in row_columns(rows)))
    return [name for name in USUAL if name in names] if set(USUAL) <= set(names) else names[:MOST]


def confusion_matrix(
    counts: Tensor, class_names: Sequence[str], title: str, predicted_names: Sequence[str] | None = None
) -> Picture:
    """Counts by true and predicted class, int64 [classes, classes], as a matrix or, for many classes, as pairs.

    `predicted_names` are the network's classes, if the data has other names.
    """
    names = fonts.drawable_names(class_names)
    across = names if predicted_names is None else fonts.drawable_names(predicted_names)
    return figure_pixels(confusion_plot(counts.numpy(), names, across, fonts.replace_undrawable(title)))


def plot_mistakes(
    outcome: EvaluationResult,
    images: Images,
    names: Sequence[str],
    title: str,
    count: int,
    predicted: Sequence[str] = (),
) -> Picture | None:
    """The most confident wrong predictions; None if there are none.

    `images` are those that `outcome.rows` are rows of; `predicted` are the network's class names.
    """
    wrong = (outcome.predicted != outcome.labels).nonzero().flatten()
    wrong = wrong[outcome.confidence[wrong].argsort(descending=True, stable=True)][:count]
    if not len(wrong):
        return None
    true, taken = fonts.drawable_names(names), fonts.drawable_names(predicted or names)
    rows = outcome.rows[wrong]
    said = zip(rows.tolist(), outcome.labels[wrong], outcome.predicted[wrong], outcome.confidence[wrong], strict=True)
    captions = [
        [
            CaptionLine(true[label]),
            CaptionLine(f"→ {taken[guess]}", f"{sure:.0%}"),
            CaptionLine(image_name(images.files, row)),
        ]
        for row, label, guess, sure in said
    ]
    return contact_sheet(image_tiles(images.pixels[rows]), captions, title, columns=5)


def figure_pixels(figure: Figure) -> Picture:
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    drawn: Picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return drawn


def save_png(picture: Picture, file: Path) -> None:
    with open_output(file) as partial:
        Image.fromarray(picture).save(partial, format="PNG")


def image_tiles(images: Tensor, spec: ImageSpec | None = None) -> Picture:
    """Images [n, C, H, W] for `contact_sheet`: uint8 pixels, or normalised images, converted back with `spec`."""
    values = images.float().cpu()
    if spec is not None:
        values = 255 * (
            values * values.new_tensor(spec.std).view(-1, 1, 1) + values.new_tensor(spec.mean).view(-1, 1, 1)
        )
    result: Picture = values.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return result

"""Gradient norms by layer and epoch: they show a vanishing gradient."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from labbook.reports.curves import Curve, draw_curves, mean_curve
from labbook.reports.grouping import Report, SettingRow
from labbook.reports.read_runs import GRADIENT, Floats
from labbook.reports.svg_charts import (
    MOST_LINES,
    LineStyle,
    Picture,
    make_picture,
    set_logarithmic,
    set_whole_number_ticks,
    shorten_label,
)


def gradient_pictures(report: Report, lines: Sequence[LineStyle]) -> list[Picture]:
    """Gradient norms by layer, and of the first layer by epoch, if runs recorded them."""
    pairs = [(row, line) for row, line in zip(report.rows, lines, strict=True) if recorded_layers(row)]
    if not pairs:
        return []
    return [norms_by_layer(pairs), first_layer_by_epoch(pairs)]


def recorded_layers(row: SettingRow) -> list[str]:
    """The layers with recorded gradients, from the image to the classes."""
    names = (name for run in row.runs for name in run.table if name.startswith(GRADIENT))
    return list(dict.fromkeys(names))


def mean_norms(row: SettingRow) -> Floats:
    """The mean gradient norm of each layer over all epochs and runs; nan if none is finite."""
    found = [mean_curve(row.runs, name) for name in recorded_layers(row)]
    return np.array([np.nan if each is None else each[1].mean() for each in found])


def norms_by_layer(pairs: Sequence[tuple[SettingRow, LineStyle]]) -> Picture:
    named = {tuple(recorded_layers(row)) for row, _ in pairs}
    names = [name.removeprefix(GRADIENT) for name in next(iter(named))] if len(named) == 1 else []
    norms = [mean_norms(row) for row, _ in pairs]
    profiles: list[Curve | None] = [(np.arange(1.0, len(each) + 1), each, None) for each in norms]

    def draw(axes: Axes) -> None:
        draw_curves(axes, profiles, [line for _, line in pairs])
        _positive_log(axes, profiles)
        axes.set(xlabel="layer, from the image to the classes", ylabel="gradient norm")
        set_whole_number_ticks(axes)
        if names and len(names) <= 10:
            labels = [shorten_label(name, 14) for name in names]
            axes.set_xticks(range(1, len(names) + 1), labels, rotation=35, ha="right")

    caption = "Gradient norm by layer, mean over the epochs. If a line falls towards the image, the gradients vanish."
    return make_picture(draw, caption, f"Line chart, one line per combination: {caption} {_ratios(pairs)}")


def first_layer_by_epoch(pairs: Sequence[tuple[SettingRow, LineStyle]]) -> Picture:
    """The gradient of the layer next to the image, by epoch."""
    curves = [mean_curve(row.runs, recorded_layers(row)[0]) for row, _ in pairs]

    def draw(axes: Axes) -> None:
        draw_curves(axes, curves, [line for _, line in pairs])
        _positive_log(axes, curves)
        axes.set(xlabel="epoch", ylabel="gradient norm, first layer")
        set_whole_number_ticks(axes)

    caption = "Gradient norm of the first layer by epoch."
    return make_picture(draw, caption, f"Line chart, one line per combination: {caption}")


def _positive_log(axes: Axes, curves: Sequence[Curve | None]) -> None:
    values = np.concatenate([each[1] for each in curves if each is not None] or [np.array([])])
    if values.size and np.nanmin(values) > 0:
        set_logarithmic(axes, "y")


def _ratios(pairs: Sequence[tuple[SettingRow, LineStyle]]) -> str:
    said = [f"{line.label}: {mean_norms(row)[0]:.3g} to {mean_norms(row)[-1]:.3g}" for row, line in pairs[:MOST_LINES]]
    return f"From the first to the last layer, {'; '.join(said)}."

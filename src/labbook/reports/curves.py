"""Learning curves by setting."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from labbook.reports.read_runs import Floats, RunRecord
from labbook.reports.svg_charts import (
    OTHERS,
    LineStyle,
    Picture,
    make_picture,
    set_logarithmic,
    set_whole_number_ticks,
    spans_widely,
)

MOST_GREY = 40  # up to so many unnamed lines, each is a shape; more are an image

Curve = tuple[Floats, Floats, Floats | None]  # epochs, mean, standard deviation


def learning_curves(
    settings: Sequence[Sequence[RunRecord]], lines: Sequence[LineStyle], held_out: str, each: str = "setting"
) -> list[Picture]:
    """Accuracy and loss on training data and on `held_out` data, a line for the runs of `each` setting."""
    pictures = []
    for name, words in (("acc", "accuracy"), ("loss", "loss")):
        for part, part_words in (("val", held_out), ("train", "training")):
            curves = [mean_curve(runs, f"{part}/{name}") for runs in settings]
            if any(found is not None for found in curves):
                pictures.append(curve_chart(curves, lines, f"{part_words} {words}", "epoch", each))
    return pictures


def mean_curve(runs: Sequence[RunRecord], name: str) -> Curve | None:
    """A column of metrics.csv as mean over the runs of a combination, by epoch; None if no run has it."""
    tables = [run.table for run in runs if name in run.table and "epoch" in run.table]
    if not tables:
        return None
    points = np.concatenate([np.column_stack([table["epoch"], table[name]]) for table in tables])
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return None
    epochs, which, counts = np.unique(points[:, 0], return_inverse=True, return_counts=True)
    means = np.bincount(which, points[:, 1]) / counts
    squares = np.bincount(which, (points[:, 1] - means[which]) ** 2)
    return epochs, means, np.sqrt(squares / np.maximum(counts - 1, 1)) if counts.max() > 1 else None


def curve_chart(
    curves: Sequence[Curve | None], lines: Sequence[LineStyle], ylabel: str, xlabel: str, setting: str = "setting"
) -> Picture:
    """One line per curve, the first on top."""
    band = any(each is not None and each[2] is not None for each in curves)
    values = [value for each in curves if each is not None for value in each[1].tolist()]
    log = "loss" in ylabel and spans_widely(values)

    def draw(axes: Axes) -> None:
        draw_curves(axes, curves, lines)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        if xlabel == "epoch":
            set_whole_number_ticks(axes)
        if log:
            set_logarithmic(axes, "y")

    said = f"{ylabel} by {xlabel}"
    caption = f"{said[0].upper()}{said[1:]}." + (
        " The band is one standard deviation over the runs of a combination." if band else ""
    )
    return make_picture(draw, caption, f"Line chart: {said}, one line per {setting}. {_extremes(curves, lines)}")


def draw_curves(
    axes: Axes, curves: Sequence[Curve | None], lines: Sequence[LineStyle], marker: str | None = None
) -> None:
    """The named settings in their colours, the others in grey behind them."""
    pairs = [(each, line) for each, line in zip(curves, lines, strict=True) if each is not None]
    grey = [np.column_stack(each[:2]) for each, line in pairs if not line.named]
    image = len(grey) > MOST_GREY
    axes.add_collection(LineCollection(grey, colors=OTHERS, linewidths=0.7, alpha=0.5, rasterized=image))
    for (epochs, means, spreads), line in reversed(pairs):
        if not line.named:
            continue
        point = "o" if len(epochs) < 2 else marker
        axes.plot(epochs, means, color=line.colour, linestyle=line.dashes, marker=point, markersize=4)
        if spreads is not None:
            axes.fill_between(epochs, means - spreads, means + spreads, color=line.colour, alpha=0.15, linewidth=0)
    axes.autoscale_view()


def _extremes(curves: Sequence[Curve | None], lines: Sequence[LineStyle]) -> str:
    ends = [(float(each[1][-1]), line.label) for each, line in zip(curves, lines, strict=True) if each is not None]
    (low, lowest), (high, highest) = min(ends), max(ends)
    if len(ends) == 1:
        return f"It ends at {low:.4g}."
    return f"Last values: {low:.4g} ({lowest}) to {high:.4g} ({highest})."

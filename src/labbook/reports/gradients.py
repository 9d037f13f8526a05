"""Gradient norms by layer, over epochs and against depth: how a vanishing gradient is seen."""

from collections.abc import Hashable, Sequence

import numpy as np
from matplotlib.axes import Axes

from labbook.reports.columns import key, text
from labbook.reports.curves import Curve, curve, draw_curves
from labbook.reports.grouping import Report, Row
from labbook.reports.read_runs import GRADIENT, Floats
from labbook.reports.svg_charts import (
    MOST_LINES,
    Line,
    Picture,
    lines_of,
    logarithmic,
    picture,
    shortened,
    whole_numbers,
)


def gradients(report: Report, lines: Sequence[Line]) -> list[Picture]:
    """Where runs recorded them: gradient norms by layer, of the first layer by epoch, and against the depth."""
    pairs = [(row, line) for row, line in zip(report.rows, lines, strict=True) if layers(row)]
    if not pairs:
        return []
    return [by_layer(pairs), first_layer_by_epoch(pairs), *against_depth(report)]


def layers(row: Row) -> list[str]:
    """The layers whose gradients were recorded, from the image to the classes."""
    names = (name for run in row.runs for name in run.table if name.startswith(GRADIENT))
    return list(dict.fromkeys(names))


def norms(row: Row) -> Floats:
    """The mean gradient norm of each layer over all epochs and runs; nan where none is finite."""
    found = [curve(row.runs, name) for name in layers(row)]
    return np.array([np.nan if each is None else each[1].mean() for each in found])


def by_layer(pairs: Sequence[tuple[Row, Line]]) -> Picture:
    """A line for each setting over its layers."""
    named = {tuple(layers(row)) for row, _ in pairs}
    names = [name.removeprefix(GRADIENT) for name in next(iter(named))] if len(named) == 1 else []
    profiles: list[Curve | None] = [(np.arange(1.0, len(norms(row)) + 1), norms(row), None) for row, _ in pairs]

    def draw(axes: Axes) -> None:
        draw_curves(axes, profiles, [line for _, line in pairs])
        _positive_log(axes, profiles)
        axes.set(xlabel="layer, from the image to the classes", ylabel="gradient norm")
        whole_numbers(axes)
        if names and len(names) <= 10:
            axes.set_xticks(range(1, len(names) + 1), [shortened(name, 14) for name in names], rotation=35, ha="right")

    caption = "Gradient norm by layer, mean over the epochs. Where a line falls towards the image, gradients vanish."
    alt = f"Line chart: gradient norm by layer, one line a setting. {_ratios(pairs)}"
    return picture(draw, caption, alt)


def first_layer_by_epoch(pairs: Sequence[tuple[Row, Line]]) -> Picture:
    """What reaches the layer next to the image, over time."""
    curves = [curve(row.runs, layers(row)[0]) for row, _ in pairs]

    def draw(axes: Axes) -> None:
        draw_curves(axes, curves, [line for _, line in pairs])
        _positive_log(axes, curves)
        axes.set(xlabel="epoch", ylabel="gradient norm, first layer")
        whole_numbers(axes)

    caption = "Gradient norm of the layer next to the image by epoch."
    return picture(draw, caption, "Line chart: gradient norm of the first layer by epoch, one line a setting.")


def _positive_log(axes: Axes, curves: Sequence[Curve | None]) -> None:
    values = np.concatenate([each[1] for each in curves if each is not None] or [np.array([])])
    if values.size and np.nanmin(values) > 0:
        logarithmic(axes, "y")


def _ratios(pairs: Sequence[tuple[Row, Line]]) -> str:
    said = [f"{line.label}: {norms(row)[0]:.3g} to {norms(row)[-1]:.3g}" for row, line in pairs[:MOST_LINES]]
    return f"From the first to the last layer, {'; '.join(said)}."


def against_depth(report: Report) -> list[Picture]:
    """Gradient norm of the first layer against the number of layers, where settings differ in it."""
    rows = [row for row in report.rows if layers(row) and np.isfinite(norms(row)[0])]
    if len({len(layers(row)) for row in rows}) < 2:
        return []
    beside = [index for index in range(len(report.columns)) if not tells_depth(rows, index)]
    series: dict[Hashable, list[Row]] = {}
    for row in rows:
        series.setdefault(tuple(key(row.values[index]) for index in beside), []).append(row)
    curves: list[Curve | None] = [depth_curve(members) for members in series.values()]
    firsts = [members[0] for members in series.values()]
    labels = [", ".join(f"{report.names[index]} {text(row.values[index])}" for index in beside) for row in firsts]
    lines = lines_of(labels)

    def draw(axes: Axes) -> None:
        draw_curves(axes, curves, lines, marker="o")
        _positive_log(axes, curves)
        axes.set(xlabel="layers with a gradient", ylabel="gradient norm, first layer")
        whole_numbers(axes)

    alt = "Line chart: gradient norm of the first layer against the number of layers."
    caption = "Gradient norm of the layer next to the image against depth."
    return [picture(draw, caption, alt, lines=lines if any(labels) else ())]


def tells_depth(rows: Sequence[Row], index: int) -> bool:
    """Whether the value of a column says how many layers there are."""
    counts: dict[Hashable, set[int]] = {}
    for row in rows:
        counts.setdefault(key(row.values[index]), set()).add(len(layers(row)))
    return all(len(each) == 1 for each in counts.values())


def depth_curve(rows: Sequence[Row]) -> Curve:
    """The norm of the first layer over numbers of layers, mean where several settings have as many."""
    by_depth: dict[int, list[float]] = {}
    for row in rows:
        by_depth.setdefault(len(layers(row)), []).append(float(norms(row)[0]))
    depths = sorted(by_depth)
    return np.array(depths, dtype=np.float64), np.array([np.mean(by_depth[depth]) for depth in depths]), None

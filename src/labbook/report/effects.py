"""What each swept parameter does: accuracy and time against it, and two parameters at a time as a map."""

import itertools
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from labbook.report.cells import number, title
from labbook.report.charts import (
    PAPER,
    SERIES,
    Line,
    Picture,
    Scale,
    logarithmic,
    name_ticks,
    picture,
    shortened,
    spans_widely,
)
from labbook.report.columns import key, text
from labbook.report.facts import compared_by
from labbook.report.grouping import ACCURACY, OBJECTIVE, Report, Row
from labbook.report.reading import Floats

MOST_PARAMETERS, MOST_MAPPED = 6, 3  # drawn one at a time; in pairs
MOST_NUMBERS = 12  # cells in a row or column up to which their numbers are written in
MOST_VECTORS = 400  # cells up to which each is a shape of its own
CELL = "#4a86d0"  # dark enough for light words and light enough for dark ones, both at some transparency
Point = tuple[Any, float]  # the value of a parameter and a figure


@dataclass(frozen=True)
class Series:
    """The points of one line against a parameter."""

    label: str
    measured: list[Point]  # one a run
    theirs: list[Point]  # published


def effects(report: Report) -> list[Picture]:
    """For each parameter, its accuracies and its time."""
    accuracies = [name for name in ACCURACY if name in report.figures]
    times = [name for name in ("train_seconds",) if name in report.figures]
    parameters = range(min(len(report.columns), MOST_PARAMETERS))
    return [effect(report, index, names) for index in parameters for names in (accuracies, times) if names]


def effect(report: Report, index: int, names: Sequence[str]) -> Picture:
    """Figures against one parameter: a dot for each run, a line through the means, open markers for published ones."""
    others = beside(report.rows, index)
    apart = 1 < len(others) <= min(len(SERIES), len(report.rows) - 1)
    drawn = by_others(report, index, others, names[0]) if apart else by_figure(report, index, names)
    scale = Scale([value for each in drawn for value, _ in (*each.measured, *each.theirs)])
    column = report.names[index]
    what = "seconds of training" if names[0] == "train_seconds" else title(names[0]) if apart else "accuracy"

    def draw(axes: Axes) -> None:
        for each, colour in zip(drawn, SERIES, strict=False):
            draw_points(axes, scale, each, colour)
        scale.label(axes, column)
        axes.set_ylabel(what)
        if spans_widely([figure for each in drawn for _, figure in each.measured]):
            logarithmic(axes, "y")

    caption = f"{what[0].upper()}{what[1:]} against {column}: a dot for each run, a line through the means."
    if len(report.columns) > 1 and not apart:
        caption += " The other parameters vary within each mean."
    if any(each.theirs for each in drawn):
        caption += " Open diamonds are published figures."
    alt = f"{what[0].upper()}{what[1:]} against {column}. {means_said(drawn, names[0])}"
    legend = [Line(each.label, colour, "solid") for each, colour in zip(drawn, SERIES, strict=False) if each.measured]
    return picture(draw, caption, alt, lines=legend if len(drawn) > 1 else ())


def beside(rows: Iterable[Row], index: int) -> list[list[Row]]:
    """The rows in groups that are equal in all columns but this one."""
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        others = (key(value) for at, value in enumerate(row.values) if at != index)
        groups.setdefault(tuple(others), []).append(row)
    return list(groups.values())


def by_others(report: Report, index: int, groups: Sequence[list[Row]], name: str) -> list[Series]:
    """One figure, a line for each setting of the other parameters."""
    found = []
    for rows in groups:
        pairs = [pair for at, pair in enumerate(zip(report.names, rows[0].values, strict=True)) if at != index]
        label = ", ".join(f"{column} {text(value)}" for column, value in pairs if value is not None)
        found.append(Series(label, points(rows, index, name), published(rows, index, name)))
    return found


def by_figure(report: Report, index: int, names: Sequence[str]) -> list[Series]:
    """A line for each figure, whatever the other parameters are."""
    rows = report.rows
    return [Series(title(name), points(rows, index, name), published(rows, index, name)) for name in names]


def points(rows: Iterable[Row], index: int, name: str) -> list[Point]:
    """A figure of each finished run with the value of its parameter."""
    exact = ("train/acc_eval", "train/acc") if name == "train/acc" else (name,)
    found = []
    for row in rows:
        chosen = next((each for each in exact if row.exact(each)), name)
        figures = (run.figure(chosen) for run in row.finished)
        found += [(row.values[index], figure) for figure in figures if figure is not None]
    return found


def published(rows: Iterable[Row], index: int, name: str) -> list[Point]:
    """The published figures of a name with the values of the parameter."""
    exact = ("train/acc_eval", "train/acc") if name == "train/acc" else (name,)
    return [(row.values[index], row.published[each]) for row in rows for each in exact if each in row.published]


def draw_points(axes: Axes, scale: Scale, series: Series, colour: str) -> None:
    """Dots, the line through their means, and open diamonds."""
    places = [scale.place(value) for value, _ in series.measured]
    faint = 0.35 * min(1.0, 60 / max(len(places), 1))  # so that many dots show where they are dense
    axes.plot(places, [figure for _, figure in series.measured], "o", color=colour, alpha=faint, markersize=3.5, mew=0)
    means = mean_by_value(series.measured, scale)
    line = "-" if scale.numeric else ":"
    axes.plot(*zip(*means, strict=True) if means else ([], []), line, color=colour, marker="o", markersize=5)
    where = [scale.place(value) for value, _ in series.theirs]
    axes.plot(where, [figure for _, figure in series.theirs], "D", color=colour, mfc=PAPER, mew=1.4, markersize=6)


def mean_by_value(measured: Sequence[Point], scale: Scale) -> list[tuple[float, float]]:
    """The mean figure at each place of the axis."""
    by_place: dict[float, list[float]] = {}
    for value, figure in measured:
        by_place.setdefault(scale.place(value), []).append(figure)
    return [(place, float(np.mean(figures))) for place, figures in sorted(by_place.items())]


def means_said(drawn: Iterable[Series], name: str) -> str:
    """The means of each line in words."""
    said = []
    for each in drawn:
        if each.measured:
            scale = Scale([value for value, _ in each.measured])
            pairs = zip(scale.values, mean_by_value(each.measured, scale), strict=True)
            means = ", ".join(f"{text(value)}: {number(name, mean)}" for value, (_, mean) in pairs)
            said.append(f"{each.label}: {means}")
    return f"Means of {'; '.join(said)}."


def maps(report: Report) -> list[Picture]:
    """A map of the compared figure for each pair of the first few parameters."""
    if not report.ranked:
        return []
    pairs = itertools.combinations(range(min(len(report.columns), MOST_MAPPED)), 2)
    return [heat_map(report, down, across) for down, across in pairs]


def heat_map(report: Report, down: int, across: int) -> Picture:
    """The compared figure by two parameters, mean over the others."""
    scales = [Scale([row.values[index] for row in report.ranked]) for index in (down, across)]
    grid = gridded(report, (down, across), scales)
    names = report.names[down], report.names[across]
    figure = compared_by(report)

    def draw(axes: Axes) -> None:
        tiles(axes, grid, shades(grid), ".3f")
        name_ticks(axes, "x", scales[1].values)
        name_ticks(axes, "y", scales[0].values)
        axes.set(xlabel=shortened(names[1]), ylabel=shortened(names[0]))

    best = np.unravel_index(int(np.nanargmax(grid)), grid.shape)
    highest = ", ".join(f"{name} {text(scale.values[at])}" for name, scale, at in zip(names, scales, best, strict=True))
    others = ", mean over the other parameters" if len(report.columns) > 2 else ""
    caption = f"{figure} by {names[0]} and {names[1]}{others}; the stronger the colour, the higher."
    alt = f"Heat map: {figure} by {names[0]} and {names[1]}. Highest at {highest}: {np.nanmax(grid):.4g}."
    return picture(draw, caption[0].upper() + caption[1:], alt, (5.0, min(1.4 + 0.42 * len(grid), 6.0)))


def gridded(report: Report, indices: tuple[int, int], scales: Sequence[Scale]) -> Floats:
    """Means by the values of two columns, float [down, across]; nan where no setting has been tried."""
    found: dict[tuple[int, int], list[float]] = {}
    for row in report.ranked:
        mean = row.exact(OBJECTIVE)
        assert mean is not None
        at = scales[0].index(row.values[indices[0]]), scales[1].index(row.values[indices[1]])
        found.setdefault(at, []).append(mean.mean)
    grid = np.full((len(scales[0].values), len(scales[1].values)), np.nan)
    for at, means in found.items():
        grid[at] = np.mean(means)
    return grid


def shades(grid: Floats) -> Floats:
    """How strong the colour of each cell is: from the lowest to the highest figure."""
    low, high = np.nanmin(grid), np.nanmax(grid)
    span = high - low
    strength: Floats = 0.08 + 0.72 * ((grid - low) / span if span else np.zeros_like(grid))
    return strength


def tiles(axes: Axes, grid: Floats, strength: Floats, form: str) -> None:
    """A cell for each number, written in where there is room; none where there is no number."""
    colours = np.tile(np.array(to_rgba(CELL)), (*grid.shape, 1))
    colours[..., 3] = np.nan_to_num(strength)
    height, width = grid.shape
    edges = np.arange(width + 1) - 0.5, np.arange(height + 1) - 0.5
    many = grid.size > MOST_VECTORS
    axes.pcolormesh(*edges, colours, rasterized=many, edgecolors="none" if many else PAPER, linewidth=0 if many else 1)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if max(grid.shape) <= MOST_NUMBERS:
        for row, column in np.argwhere(np.isfinite(grid) & (grid != 0)):
            axes.text(column, row, f"{grid[row, column]:{form}}", ha="center", va="center", fontsize=8)

"""The effect of each swept parameter: accuracy and time."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from labbook.reports.columns import value_key, value_text
from labbook.reports.grouping import ACCURACY, Report, SettingRow, recorded_names
from labbook.reports.svg_charts import (
    PAPER,
    SERIES,
    LineStyle,
    Picture,
    Scale,
    make_picture,
    set_logarithmic,
    spans_widely,
)
from labbook.reports.table_cells import format_metric_cell, metric_title

Point = tuple[Any, float]  # the value of a parameter and a metric

FEW_VALUES = 12  # up to so many values, each has a mean


def has_own_means(values: Sequence[Any], scale: Scale, alone: bool) -> bool:
    """Whether each value of a parameter has its own mean, given its values in all settings.

    It has in a grid, where several settings share a value, and if few values of the parameter `alone` were tried.
    """
    different = len({scale.coordinate(value) for value in values})
    return not scale.numeric or len(values) >= 2 * different or (alone and different <= FEW_VALUES)


def means_by_value(measured: Sequence[Point], scale: Scale) -> list[Point]:
    """The mean for each value, in the order of the axis."""
    figures: dict[str, list[Point]] = {}
    for value, figure in sorted(measured, key=lambda point: scale.coordinate(point[0])):
        figures.setdefault(value_text(value), []).append((value, figure))
    return [(points[0][0], fmean(figure for _, figure in points)) for points in figures.values()]


MOST_PARAMETERS = 6
MOST_DOTS = 400  # up to so many runs, each dot is a shape; more are an image
MOST_WORDS = 20  # words on an axis
TIME = "train_seconds"


@dataclass(frozen=True)
class Series:
    """The points of one line against a parameter."""

    label: str
    measured: list[Point]  # one per run
    theirs: list[Point]  # published


def effect_sections(report: Report) -> list[Picture]:
    accuracies = [name for name in ACCURACY if name in report.figures]
    times = [name for name in (TIME,) if name in report.figures]
    parameters = range(min(len(report.columns), MOST_PARAMETERS))
    return [effect_picture(report, index, names) for index in parameters for names in (accuracies, times) if names]


def effect_picture(report: Report, index: int, names: Sequence[str]) -> Picture:
    """Metrics by one parameter: one dot per run, a line through the means, open markers for published ones."""
    rows = best_rows(report, index)
    others = groups_beside(rows, index)
    apart = 1 < len(others) <= min(len(SERIES), len(rows) - 1)
    if apart:
        drawn = lines_by_others(report, index, others, names[0])
    else:
        points = ((run_points(rows, index, name), published_points(rows, index, name)) for name in names)
        drawn = [Series(metric_title(name), *each) for name, each in zip(names, points, strict=True)]
    scale = Scale([value for each in drawn for value, _ in (*each.measured, *each.theirs)])
    column = report.names[index]
    tried = [row.values[index] for row in rows if row.values[index] in scale]
    grid = has_own_means(tried, scale, len(report.columns) == 1)
    what = "seconds of training" if names[0] == TIME else metric_title(names[0]) if apart else "accuracy"

    def draw(axes: Axes) -> None:
        for each, colour in zip(drawn, SERIES, strict=False):
            draw_points(axes, scale, each, colour, grid)
        scale.label(axes, column)
        axes.set_ylabel(what)
        if names[0] == TIME and spans_widely([figure for each in drawn for _, figure in each.measured]):
            set_logarithmic(axes, "y")

    means = f", {'a line through' if scale.numeric else 'large dots are'} the means" if grid else ""
    caption = f"{what[0].upper()}{what[1:]} against {column}: one dot per run{means}."
    if len(report.columns) > 1 and not apart:
        caption += " Each mean is over all values of the other settings."
    if len(rows) < len(report.rows):
        caption += f" The {len(rows)} best of {len(report.rows)} combinations, each with another value."
    if any(each.theirs for each in drawn):
        caption += " Open diamonds are published results."
    alt = f"{what[0].upper()}{what[1:]} against {column}. {describe_means(drawn, names[0]) if grid else ''}"
    legend = [
        LineStyle(each.label, colour, "solid") for each, colour in zip(drawn, SERIES, strict=False) if each.measured
    ]
    return make_picture(draw, caption, alt, lines=legend if len(drawn) > 1 else ())


def best_rows(report: Report, index: int) -> Sequence[SettingRow]:
    scale = Scale([row.values[index] for row in report.rows])
    return report.rows if scale.numeric or len(scale.values) <= MOST_WORDS else report.rows[:MOST_WORDS]


def groups_beside(rows: Iterable[SettingRow], index: int) -> list[list[SettingRow]]:
    """The rows in groups that are equal in all columns but this one."""
    groups: dict[Hashable, list[SettingRow]] = {}
    for row in rows:
        others = (value_key(value) for at, value in enumerate(row.values) if at != index)
        groups.setdefault(tuple(others), []).append(row)
    return list(groups.values())


def lines_by_others(report: Report, index: int, groups: Sequence[list[SettingRow]], name: str) -> list[Series]:
    """One metric, a line for each setting of the other parameters."""
    found = []
    for rows in groups:
        pairs = [pair for at, pair in enumerate(zip(report.names, rows[0].values, strict=True)) if at != index]
        label = ", ".join(f"{column} {value_text(value)}" for column, value in pairs if value is not None)
        found.append(Series(label, run_points(rows, index, name), published_points(rows, index, name)))
    return found


def run_points(rows: Iterable[SettingRow], index: int, name: str) -> list[Point]:
    found = []
    for row in rows:
        chosen = next((each for each in recorded_names(name) if row.exact(each)), name)
        figures = (run.metric(chosen) for run in row.finished)
        found += [(row.values[index], figure) for figure in figures if figure is not None]
    return found


def published_points(rows: Iterable[SettingRow], index: int, name: str) -> list[Point]:
    names = recorded_names(name)
    return [(row.values[index], row.published[each]) for row in rows for each in names if each in row.published]


def draw_points(axes: Axes, scale: Scale, series: Series, colour: str, grid: bool) -> None:
    """Dots; in a `grid` also the line through the means; open diamonds."""
    places = [scale.coordinate(value) for value, _ in series.measured]
    faint = 0.35 * min(1.0, 60 / max(len(places), 1)) if grid else 0.7  # so that overlapping dots are visible
    look: dict[str, Any] = {"color": colour, "alpha": faint, "markersize": 3.5, "mew": 0}
    axes.plot(places, [figure for _, figure in series.measured], "o", rasterized=len(places) > MOST_DOTS, **look)
    if grid:
        means = [(scale.coordinate(value), figure) for value, figure in means_by_value(series.measured, scale)]
        line = "-" if scale.numeric else "none"
        axes.plot(*np.array(means).reshape(-1, 2).T, color=colour, linestyle=line, marker="o", markersize=5)
    where = [scale.coordinate(value) for value, _ in series.theirs]
    axes.plot(where, [figure for _, figure in series.theirs], "D", color=colour, mfc=PAPER, mew=1.4, markersize=6)


def describe_means(drawn: Iterable[Series], name: str) -> str:
    said = []
    for each in drawn:
        means = means_by_value(each.measured, Scale([value for value, _ in each.measured]))
        texts = (f"{value_text(value)}: {format_metric_cell(name, figure)}" for value, figure in means)
        said += [f"{each.label}: {', '.join(texts)}"] if means else []
    return f"Means of {'; '.join(said)}."

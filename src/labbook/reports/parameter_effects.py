"""The effect of each swept parameter: accuracy and time."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from labbook.reports.columns import value_key, value_text
from labbook.reports.grouping import ACCURACY, Report, SettingRow
from labbook.reports.read_runs import Floats
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
FEWEST, IN_A_PART = 30, 6  # runs from which parts have means, and minimum runs per part
MOST_PARTS = 20


class RunGroup(NamedTuple):
    """A group of runs."""

    place: float  # on the axis
    middle: float  # the mean of a value, or the median of a part, which diverged runs do not change
    low: float  # 10th percentile
    high: float  # 90th percentile


def has_own_means(values: Sequence[Any], scale: Scale, alone: bool) -> bool:
    """Whether each value of a parameter has its own mean, given its values in all settings.

    It has in a grid, where several settings share a value, and if few values of the parameter `alone` were tried.
    """
    different = len({scale.coordinate(value) for value in values})
    return not scale.numeric or len(values) >= 2 * different or (alone and different <= FEW_VALUES)


def part_count(count: int) -> int:
    """The number of equal parts of runs, for a parameter with mostly different values."""
    return min(count // IN_A_PART, MOST_PARTS) if count >= FEWEST else 0


def marginal_means(measured: Sequence[Point], scale: Scale, apart: bool) -> list[RunGroup]:
    """Means by value if `apart`, else medians of equal parts of the runs; empty for few runs."""
    if not measured:
        return []
    points = np.array(sorted((scale.coordinate(value), figure) for value, figure in measured))
    if apart:
        groups = np.split(points, np.flatnonzero(np.diff(points[:, 0])) + 1)
    else:
        groups = np.array_split(points, count) if (count := part_count(len(points))) else []
    return [points_summary(group, scale.log, np.mean if apart else np.median) for group in groups]


def points_summary(points: Floats, log: bool, middle: Callable[[Floats], Any]) -> RunGroup:
    """A summary of points float [n, 2], at the middle of their positions on the axis."""
    places, figures = points.T
    place = np.exp(np.log(places).mean()) if log else places.mean()
    low, high = np.quantile(figures, (0.1, 0.9))
    return RunGroup(float(place), float(middle(figures)), float(low), float(high))


MOST_PARAMETERS = 6
MOST_DOTS = 400  # up to so many runs, each is a dot
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
    drawn = lines_by_others(report, index, others, names[0]) if apart else lines_by_metric(rows, index, names)
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

    caption = f"{what[0].upper()}{what[1:]} against {column}: {describe_marks(drawn, scale, grid)}."
    if len(report.columns) > 1 and not apart:
        caption += " Each mean is over all values of the other settings."
    if len(rows) < len(report.rows):
        caption += f" The {len(rows)} best of {len(report.rows)} combinations, each with another value."
    if any(each.theirs for each in drawn):
        caption += " Open diamonds are published results."
    alt = f"{what[0].upper()}{what[1:]} against {column}. {describe_means(drawn, names[0], grid)}"
    legend = [
        LineStyle(each.label, colour, "solid") for each, colour in zip(drawn, SERIES, strict=False) if each.measured
    ]
    return make_picture(draw, caption, alt, lines=legend if len(drawn) > 1 else ())


def best_rows(report: Report, index: int) -> Sequence[SettingRow]:
    scale = Scale([row.values[index] for row in report.rows])
    return report.rows if scale.numeric or len(scale.values) <= MOST_WORDS else report.rows[:MOST_WORDS]


def describe_marks(drawn: Sequence[Series], scale: Scale, grid: bool) -> str:
    largest = max((each.measured for each in drawn), key=len)
    dots = "one dot per run" if len(largest) <= MOST_DOTS else "the band has the middle 80 % of the runs"
    if grid:
        return f"{dots}, {'a line through' if scale.numeric else 'large dots are'} the means"
    count = part_count(len(largest))
    return f"{dots}, a line through the medians of {count} groups of equal size" if count else dots


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


def lines_by_metric(rows: Sequence[SettingRow], index: int, names: Sequence[str]) -> list[Series]:
    return [
        Series(metric_title(name), run_points(rows, index, name), published_points(rows, index, name)) for name in names
    ]


def run_points(rows: Iterable[SettingRow], index: int, name: str) -> list[Point]:
    exact = ("train/acc_eval", "train/acc") if name == "train/acc" else (name,)
    found = []
    for row in rows:
        chosen = next((each for each in exact if row.exact(each)), name)
        figures = (run.metric(chosen) for run in row.finished)
        found += [(row.values[index], figure) for figure in figures if figure is not None]
    return found


def published_points(rows: Iterable[SettingRow], index: int, name: str) -> list[Point]:
    exact = ("train/acc_eval", "train/acc") if name == "train/acc" else (name,)
    return [(row.values[index], row.published[each]) for row in rows for each in exact if each in row.published]


def draw_points(axes: Axes, scale: Scale, series: Series, colour: str, grid: bool) -> None:
    """Dots, or a band for many; the line through their middles; open diamonds."""
    places = [scale.coordinate(value) for value, _ in series.measured]
    found = marginal_means(series.measured, scale, grid)
    at, middles, low, high = (
        np.array([(each.place, each.middle, each.low, each.high) for each in found]).reshape(-1, 4).T
    )
    if len(places) <= MOST_DOTS:
        faint = 0.35 * min(1.0, 60 / max(len(places), 1))  # so that overlapping dots are visible
        look: dict[str, Any] = {"color": colour, "alpha": faint if found else 0.7, "markersize": 3.5, "mew": 0}
        axes.plot(places, [figure for _, figure in series.measured], "o", **look)
    elif scale.numeric:
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    else:
        axes.vlines(at, low, high, color=colour, alpha=0.3, linewidth=6)
    marker = "o" if grid else None
    line = "-" if scale.numeric else "none"
    axes.plot(at, middles, color=colour, linestyle=line, marker=marker, markersize=5)
    where = [scale.coordinate(value) for value, _ in series.theirs]
    axes.plot(where, [figure for _, figure in series.theirs], "D", color=colour, mfc=PAPER, mew=1.4, markersize=6)


def describe_means(drawn: Iterable[Series], name: str, grid: bool) -> str:
    said = []
    for each in drawn:
        if each.measured:
            scale = Scale([value for value, _ in each.measured])
            found = marginal_means(each.measured, scale, grid)
            names = (
                [value_text(value) for value in scale.values] if grid else [f"about {part.place:.3g}" for part in found]
            )
            means = ", ".join(
                f"{value}: {format_metric_cell(name, part.middle)}" for value, part in zip(names, found, strict=True)
            )
            said.append(f"{each.label}: {means}")
    return f"Means of {'; '.join(said)}."

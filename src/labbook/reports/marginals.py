"""A metric by one parameter, over all others: means by value, or medians of parts of the runs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from labbook.reports.read_runs import Floats
from labbook.reports.svg_charts import Scale

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

"""A figure against one parameter, whatever the others are: means by value, or medians of parts of the runs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from labbook.reports.read_runs import Floats
from labbook.reports.svg_charts import Scale

Point = tuple[Any, float]  # the value of a parameter and a figure

FEW_VALUES = 12  # up to which each value has a mean of its own
FEWEST, IN_A_PART = 30, 6  # runs from which parts of them have means, and runs in each of these at least
MOST_PARTS = 20


class RunGroup(NamedTuple):
    """Some runs together."""

    place: float  # on the axis
    middle: float  # the mean of a value, or the median of a part, which a run that diverged leaves as it is
    low: float  # 10th percentile
    high: float  # 90th


def has_own_means(values: Sequence[Any], scale: Scale, alone: bool) -> bool:
    """Whether each value of a parameter has a mean of its own, given its values in all settings.

    It has in a grid, where several settings have the value, and where few values of the parameter `alone` were tried.
    """
    different = len({scale.coordinate(value) for value in values})
    return not scale.numeric or len(values) >= 2 * different or (alone and different <= FEW_VALUES)


def part_count(count: int) -> int:
    """Into how many equal parts runs are divided by a parameter that nearly each has another value of."""
    return min(count // IN_A_PART, MOST_PARTS) if count >= FEWEST else 0


def marginal_means(measured: Sequence[Point], scale: Scale, apart: bool) -> list[RunGroup]:
    """Means by value where these are told `apart`, else medians of equal parts of the runs; of few runs none."""
    if not measured:
        return []
    points = np.array(sorted((scale.coordinate(value), figure) for value, figure in measured))
    if apart:
        groups = np.split(points, np.flatnonzero(np.diff(points[:, 0])) + 1)
    else:
        groups = np.array_split(points, count) if (count := part_count(len(points))) else []
    return [points_summary(group, scale.log, np.mean if apart else np.median) for group in groups]


def points_summary(points: Floats, log: bool, middle: Callable[[Floats], Any]) -> RunGroup:
    """Of points float [n, 2], in the middle of their places on the axis."""
    places, figures = points.T
    place = np.exp(np.log(places).mean()) if log else places.mean()
    low, high = np.quantile(figures, (0.1, 0.9))
    return RunGroup(float(place), float(middle(figures)), float(low), float(high))

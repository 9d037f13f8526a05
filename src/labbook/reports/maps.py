"""The compared metric by two settings: a heat map for a grid, else dots or cells."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from labbook.reports.columns import value_text
from labbook.reports.grouping import OBJECTIVE, Report
from labbook.reports.read_runs import Floats
from labbook.reports.svg_charts import PAPER, Picture, Scale, make_picture, name_ticks, shorten_label
from labbook.reports.table_cells import metric_title

MOST_MAPPED = 3  # parameters
MOST_LINES = 20  # rows or columns of a map
FILLED = 0.5  # minimum filled fraction of a map's cells
MOST_NUMBERS = 12  # up to so many cells in a row or column, they have numbers
MOST_DOTS = 400  # up to so many settings, each dot is a shape; more are an image
CELL = "#4a86d0"  # dark enough for light text and light enough for dark text, both with transparency


def parameter_maps(report: Report) -> list[Picture]:
    """A map of the compared metric for each pair of the first few parameters."""
    if not report.ranked:
        return []
    pairs = itertools.combinations(range(min(len(report.columns), MOST_MAPPED)), 2)
    found = (map_of_two(report, down, across) for down, across in pairs)
    return [each for each in found if each is not None]


def map_of_two(report: Report, down: int, across: int) -> Picture | None:
    """A heat map of a grid, a scatter plot of random numbers, or None for words without a grid."""
    scales = [Scale([row.values[index] for row in report.ranked]) for index in (down, across)]
    grid = grid_means(report, (down, across), scales)
    if max(grid.shape) <= MOST_LINES and np.isfinite(grid).mean() >= FILLED:
        return heat_map(report, (down, across), scales, grid)
    if all(scale.numeric for scale in scales):
        return scatter_map(report, (down, across), scales)
    return None


def heat_map(report: Report, indices: tuple[int, int], scales: Sequence[Scale], grid: Floats) -> Picture:
    """The compared metric by two settings, mean over the others."""
    names, figure = [report.names[index] for index in indices], metric_title(report.objective)

    def draw(axes: Axes) -> None:
        draw_tiles(axes, grid)
        name_ticks(axes, "x", scales[1].values)
        name_ticks(axes, "y", scales[0].values)
        axes.set(xlabel=shorten_label(names[1]), ylabel=shorten_label(names[0]))

    best = np.unravel_index(int(np.nanargmax(grid)), grid.shape)
    highest = ", ".join(
        f"{name} {value_text(scale.values[at])}" for name, scale, at in zip(names, scales, best, strict=True)
    )
    others = ", mean over the other settings" if len(report.columns) > 2 else ""
    caption = f"{figure} by {names[0]} and {names[1]}{others}; a stronger colour is higher."
    alt = f"Heat map: {figure} by {names[0]} and {names[1]}. Highest at {highest}: {np.nanmax(grid):.4g}."
    return make_picture(draw, caption[0].upper() + caption[1:], alt, (5.0, min(1.4 + 0.42 * len(grid), 6.0)))


def scatter_map(report: Report, indices: tuple[int, int], scales: Sequence[Scale]) -> Picture:
    """A dot per setting; stronger colours are higher values."""
    down, across = (np.array([float(row.values[index]) for row in report.ranked]) for index in indices)
    means = (row.exact(OBJECTIVE) for row in report.ranked)
    figures = np.array([mean.mean for mean in means if mean is not None])
    names, figure = [report.names[index] for index in indices], metric_title(report.objective)

    def draw(axes: Axes) -> None:
        order = figures.argsort()
        colours = np.tile(np.array(to_rgba(CELL)), (len(figures), 1))
        colours[:, 3] = cell_shades(figures)[order]
        many = len(figures) > MOST_DOTS
        axes.scatter(across[order], down[order], s=22, c=colours, linewidths=0, rasterized=many)
        scales[1].label(axes, names[1])
        scales[0].label(axes, names[0], "y")

    at = int(figures.argmax())
    highest = f"{names[0]} {down[at]:g}, {names[1]} {across[at]:g}"
    caption = f"{figure} by {names[0]} and {names[1]}: one dot per combination; a stronger colour is higher."
    alt = f"Scatter plot: {figure} by {names[0]} and {names[1]}. Highest at {highest}: {figures.max():.4g}."
    return make_picture(draw, caption[0].upper() + caption[1:], alt)


def grid_means(report: Report, indices: tuple[int, int], scales: Sequence[Scale]) -> Floats:
    """Means by the values of two columns, float [down, across]; nan without a setting."""
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


def cell_shades(grid: Floats) -> Floats:
    """The strength of each cell's colour, from the lowest to the highest value."""
    low, high = np.nanmin(grid), np.nanmax(grid)
    span = high - low
    strength: Floats = 0.08 + 0.72 * ((grid - low) / span if span else np.zeros_like(grid))
    return strength


def draw_tiles(axes: Axes, grid: Floats) -> None:
    """A cell for each number, with text if there is room; nan is empty."""
    colours = np.tile(np.array(to_rgba(CELL)), (*grid.shape, 1))
    colours[..., 3] = np.nan_to_num(cell_shades(grid))
    height, width = grid.shape
    axes.pcolormesh(np.arange(width + 1) - 0.5, np.arange(height + 1) - 0.5, colours, edgecolors=PAPER, linewidth=1)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if max(grid.shape) <= MOST_NUMBERS:
        for row, column in np.argwhere(np.isfinite(grid)):
            axes.text(column, row, f"{grid[row, column]:.3f}", ha="center", va="center", fontsize=8)

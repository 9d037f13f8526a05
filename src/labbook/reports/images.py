"""Learning curves, the best confusion matrix and the table as PNG. Imports no torch."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labbook.plots import fonts
from labbook.plots.confusion_matrix import confusion_plot
from labbook.reports.confusion import setting_confusion
from labbook.reports.grouping import Report
from labbook.reports.svg_charts import OTHERS, SOFT, STYLE, LineStyle, Picture, shorten_label
from labbook.reports.table_cells import table_cells, table_headings
from labbook.runs.outputs import open_output

CURVES, MATRIX, TABLE = "curves.png", "confusion_matrix.png", "table.png"
DPI = 150
MOST_ROWS = 30  # of the table
SIZE, LINE, GAP = 9, 0.22, 0.2  # points of a letter; inches of a line of text, and between two columns


def write_images(report: Report, curves: Sequence[Picture], lines: Sequence[LineStyle]) -> None:
    """Write the images that have content into the sweep's folder.

    Raises:
        OSError: they cannot be written.
    """
    made = {CURVES: curves_figure(curves, lines), MATRIX: matrix_figure(report), TABLE: table_figure(report)}
    for name, figure in made.items():
        if figure is not None:
            with open_output(report.sweep.path / name) as partial:
                figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None})


def curves_figure(curves: Sequence[Picture], lines: Sequence[LineStyle]) -> Figure | None:
    """All learning curves in two columns, above their legend."""
    if not curves:
        return None
    named = [line for line in lines if line.named]
    rows, legend = -(-len(curves) // 2), LINE * (len(named) + (len(named) < len(lines)))
    with mpl.rc_context(STYLE | {"figure.facecolor": "white"}):
        figure = Figure(figsize=(9, 3 * rows + legend), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=(3 * rows, max(legend, 0.01)))
        drawn, below = parts
        for axes, each in zip(drawn.subplots(rows, 2, squeeze=False).flat, curves, strict=False):
            each.draw(axes)
        for axes in list(drawn.axes)[len(curves) :]:
            axes.remove()
        labels = [shorten_label(line.label, 90) for line in named]
        handles = [Line2D([], [], color=line.colour, linestyle=line.dashes) for line in named]
        if len(named) < len(lines):
            labels.append(f"{len(lines) - len(named)} others")
            handles.append(Line2D([], [], color=OTHERS))
        look = {"family": fonts.font_families(labels), "size": SIZE}
        below.legend(handles, labels, loc="center", frameon=False, prop=look)
    return figure


def matrix_figure(report: Report) -> Figure | None:
    """The confusion matrix of the best setting, as in a run folder; None without a best setting."""
    found = setting_confusion(report.best) if report.best else None
    if report.best is None or found is None:
        return None
    counts, names = found
    drawable = fonts.drawable_names(names)
    title = f"{report.best.label}: accuracy {np.trace(counts) / max(counts.sum(), 1):.2%}"
    return confusion_plot(counts.astype(np.int64), drawable, drawable, fonts.replace_undrawable(title))


def table_figure(report: Report) -> Figure | None:
    if not report.rows:
        return None
    heads = table_headings(report)
    rows = [[head.title for head in heads]]
    rows += [[shorten_label(cell.text, 40) for cell in table_cells(report, row)] for row in report.rows[:MOST_ROWS]]
    rows = [[fonts.replace_undrawable(cell) for cell in row] for row in rows]
    widths = [max(fonts.width_of_text(row[column], SIZE) for row in rows) / 72 * 1.08 for column in range(len(heads))]
    more = len(report.rows) - MOST_ROWS
    width, height = sum(widths) + GAP * (len(heads) + 1), LINE * (len(rows) + 1 + (more > 0))
    figure = Figure(figsize=(width, height), facecolor="white")
    family = fonts.font_families(cell for row in rows for cell in row)
    look: dict[str, Any] = {"fontsize": SIZE, "parse_math": False, "family": family, "va": "center"}
    for number, row in enumerate(rows):
        left, y = GAP, 1 - (number + 0.9) * LINE / height
        for cell, head, wide in zip(row, heads, widths, strict=True):
            at = left + (wide if head.numeric else 0)
            weight = "bold" if number == 0 else "normal"
            figure.text(at / width, y, cell, ha="right" if head.numeric else "left", weight=weight, **look)
            left += wide + GAP
    y = 1 - 1.45 * LINE / height
    figure.add_artist(Line2D((GAP / width, 1 - GAP / width), (y, y), color=SOFT, linewidth=0.8))
    if more > 0:
        figure.text(GAP / width, 0.9 * LINE / height, f"... and {more} more combinations in summary.csv", **look)
    return figure

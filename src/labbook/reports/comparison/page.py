"""A comparison as one HTML page."""

from collections.abc import Sequence

import numpy as np

from labbook.reports.comparison.load_runs import Candidate
from labbook.reports.comparison.summary import Comparison
from labbook.reports.curves import Curve, curve_chart, learning_curves
from labbook.reports.svg_charts import LineStyle, Picture, line_styles
from labbook.reports.sweep_page import PageSection, render_template


def comparison_html(comparison: Comparison) -> str:
    """The page, without external files."""
    runs = comparison.runs
    title = f"{runs[0].label} against {runs[1].label}" if len(runs) == 2 else f"{len(runs)} runs compared"
    lines = line_styles([run.label for run in runs])
    pictures = compared_curves(runs, lines)
    sections = [PageSection("Curves", pictures, lines)] if pictures else []
    return render_template("comparison.html.j2", comparison=comparison, title=title, sections=sections)


def compared_curves(runs: Sequence[Candidate], lines: Sequence[LineStyle]) -> list[Picture]:
    """Accuracy and loss by epoch, and accuracy by seconds of training, with all runs in one plot."""
    kinds = {str(run.run.settings.get("data.validation")) for run in runs}
    held_out = {"val": "validation", "test": "test"}.get(kinds.pop(), "held-out") if len(kinds) == 1 else "held-out"
    pictures = learning_curves([[run.run] for run in runs], lines, held_out, "run")
    by_time = [timed_accuracy(run) for run in runs]
    if any(each is not None for each in by_time):
        pictures.append(curve_chart(by_time, lines, f"{held_out} accuracy", "seconds of training", "run"))
    return pictures


def timed_accuracy(run: Candidate) -> Curve | None:
    """Validation accuracy by seconds of training; None if there is none."""
    table = run.run.table
    if not {"seconds", "val/acc"} <= table.keys() or not len(table["seconds"]):
        return None
    return np.cumsum(table["seconds"]), table["val/acc"], None

"""What the best and the worst setting mistake for what."""

import numpy as np
from matplotlib.axes import Axes

from labbook.report.charts import Picture, name_ticks, picture
from labbook.report.effects import tiles
from labbook.report.grouping import Report, Row
from labbook.report.reading import Floats

MOST_NAMED = 30  # classes up to which the axes name them


def matrices(report: Report) -> list[Picture]:
    """The confusion matrices of the best run of the best setting, and of the worst."""
    ranked = report.ranked
    if not ranked:
        return []
    chosen = [("best", ranked[0]), *([("worst", ranked[-1])] if len(ranked) > 1 else [])]
    pictures = (matrix(report, which, row) for which, row in chosen)
    return [each for each in pictures if each is not None]


def matrix(report: Report, which: str, row: Row) -> Picture | None:
    """The matrix of one setting's best run; None where the run has none."""
    run = row.best(report.sweep.objective)
    found = run.confusion() if run else None
    if run is None or found is None:
        return None
    counts, names = found
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = float(np.clip(2.0 + 0.3 * len(names), 3.4, 5.0))

    def draw(axes: Axes) -> None:
        tiles(axes, counts, 0.04 + 0.76 * share, ".0f")
        if len(names) <= MOST_NAMED:
            name_ticks(axes, "x", names)
            name_ticks(axes, "y", names)
        axes.set(xlabel="predicted", ylabel="true class", aspect="equal")

    accuracy = float(np.trace(counts) / max(counts.sum(), 1))
    of_setting = f" ({row.label})" if report.columns else ""
    caption = f"Test images by true and predicted class: best run of the {which} setting{of_setting}, {run.path.name}."
    alt = f"Confusion matrix of the {which} setting{of_setting}, accuracy {accuracy:.4f}. {mistakes(counts, names)}"
    return picture(draw, caption, alt, (5.0, size))


def mistakes(counts: Floats, names: list[str]) -> str:
    """The three commonest in words."""
    wrong = counts - np.diag(np.diag(counts))
    commonest = np.argsort(wrong, axis=None)[::-1][:3]
    places = [np.unravel_index(int(flat), wrong.shape) for flat in commonest]
    said = [
        f"{names[true]} for {names[other]} ({wrong[true, other]:.0f})" for true, other in places if wrong[true, other]
    ]
    return f"Most often mistaken: {', '.join(said)}." if said else "Nothing is mistaken."

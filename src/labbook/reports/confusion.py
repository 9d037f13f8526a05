"""Confusion matrices of the best and the worst setting."""

import numpy as np
from matplotlib.axes import Axes

from labbook.plots.most_confused import describe_confused, most_confused
from labbook.reports.grouping import Report, SettingRow
from labbook.reports.maps import CELL, draw_tiles
from labbook.reports.read_runs import Floats
from labbook.reports.svg_charts import Picture, make_picture, name_ticks, shorten_label

MOST_NAMED = 20  # readable classes in a matrix; for more, the most confused pairs are shown


def confusion_pictures(report: Report) -> list[Picture]:
    """The confusion matrices of the best run of the best setting of each data set; for one, also of the worst."""
    ranked = report.ranked
    chosen = [("best", row) for row in report.winners]
    if len(chosen) == 1 < len(ranked):
        chosen.append(("worst", ranked[-1]))
    pictures = (confusion_picture(report, which, row) for which, row in chosen)
    return [each for each in pictures if each is not None]


def confusion_picture(report: Report, which: str, row: SettingRow) -> Picture | None:
    """The matrix of one setting, or its most confused pairs; None if its runs have none."""
    found = setting_confusion(row)
    if found is None:
        return None
    counts, names = found
    accuracy = float(np.trace(counts) / max(counts.sum(), 1))
    of_setting = f" ({row.label})" if report.columns else ""
    named = len(names) <= MOST_NAMED
    part, whose = ("Validation", "all folds") if row.folds else ("Test", "best run")
    what = f"{part} images by true and predicted class" if named else f"Most confused of {len(names)} classes"
    name = f", {row.best.path.name}" if row.best and not row.folds else ""
    caption = f"{what}: {whose} of the {which} combination{of_setting}{name}. Accuracy {accuracy:.4f}."
    kind = "Confusion matrix" if named else "Most confused classes"
    alt = f"{kind} of the {which} combination{of_setting}, accuracy {accuracy:.4f}. {describe_confused(counts, names)}"
    size = 2.8 + 0.24 * len(names) if named else 5.0
    return make_picture(
        lambda axes: (draw_matrix if named else draw_pairs)(axes, counts, names), caption, alt, (5.0, min(size, 5.4))
    )


def setting_confusion(row: SettingRow) -> tuple[Floats, list[str]] | None:
    """The test of a setting's best run, or the sum of the validations of all folds."""
    if not row.folds:
        return row.best.confusion() if row.best else None
    found = [each for run in row.finished if (each := run.confusion("val")) is not None]
    if not found or any(names != found[0][1] for _, names in found):
        return None
    return np.sum([counts for counts, _ in found], axis=0), found[0][1]


def draw_matrix(axes: Axes, counts: Floats, names: list[str]) -> None:
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    draw_tiles(axes, counts, 0.04 + 0.76 * share, ".0f")
    name_ticks(axes, "x", names)
    name_ticks(axes, "y", names)
    axes.set(xlabel="predicted", ylabel="true class", aspect="equal")


def draw_pairs(axes: Axes, counts: Floats, names: list[str]) -> None:
    """A bar for each of the most confused pairs."""
    found = most_confused(counts)
    labels = [f"{shorten_label(names[pair.true])} → {shorten_label(names[pair.predicted])}" for pair in found]
    axes.barh(range(len(found)), [pair.images for pair in found], color=CELL, height=0.7)
    axes.set_yticks(range(len(found)), labels, fontsize=7)
    axes.set(ylim=(max(len(found), 1) - 0.5, -0.5), xlabel="images of the true class (true → predicted)")
    axes.grid(visible=False, axis="y")
    for place, pair in enumerate(found):
        axes.annotate(f" {pair.images} ({pair.share:.0%})", (pair.images, place), va="center", fontsize=7)
    axes.margins(x=0.2)

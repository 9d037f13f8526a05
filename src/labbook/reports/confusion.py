"""Confusion matrices of the best and the worst setting."""

import numpy as np

from labbook.plots import fonts
from labbook.plots.confusion_matrix import confusion_plot
from labbook.plots.most_confused import MOST_CLASSES, describe_confused
from labbook.reports.grouping import Report, SettingRow
from labbook.reports.read_runs import Floats
from labbook.reports.svg_charts import Picture, picture_of


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
    named = len(names) <= MOST_CLASSES
    part, whose = ("Validation", "all folds") if row.folds else ("Test", "best run")
    what = f"{part} images by true and predicted class" if named else f"Most confused of {len(names)} classes"
    name = f", {row.best.path.name}" if row.best and not row.folds else ""
    caption = f"{what}: {whose} of the {which} combination{of_setting}{name}. Accuracy {accuracy:.4f}."
    alt = f"{caption} {describe_confused(counts, names)}"
    lines = [fonts.one_line(name) for name in names]  # the browser has the fonts
    return picture_of(lambda: confusion_plot(counts.astype(np.int64), lines, lines, ""), caption, alt)


def setting_confusion(row: SettingRow) -> tuple[Floats, list[str]] | None:
    """The test of a setting's best run, or the sum of the validations of all folds."""
    if not row.folds:
        return row.best.confusion() if row.best else None
    found = [each for run in row.finished if (each := run.confusion("val")) is not None]
    if not found or any(names != found[0][1] for _, names in found):
        return None
    return np.sum([counts for counts, _ in found], axis=0), found[0][1]

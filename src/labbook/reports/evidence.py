"""The evidence for the accuracies of the best setting: runs, images, and intervals."""

from labbook.inference.intervals import format_interval, student_interval, wilson_interval
from labbook.reports.grouping import ACCURACY, Report, SettingRow
from labbook.reports.summary_facts import compared_metric_text

IMAGES = {"test/acc": "test", "val/acc": "validation"}


def evidence_sentences(report: Report) -> list[str]:
    """Sentences about the best setting; none if there is no metric to compare by."""
    if not report.ranked:
        return []
    row = report.ranked[0]
    runs = len(row.finished)
    said = [f"n = {runs} run{'' if runs == 1 else f's with different {row.repeats}'}."]
    said += [accuracy_intervals(row, name) for name in IMAGES if name in report.figures and row.metric(name)]
    if len(report.ranked) > 1:
        said.append(
            f"This is the best of {len(report.ranked)} combinations by {compared_metric_text(report)}, so this value is"
            " a little too high."
        )
    return said


def accuracy_intervals(row: SettingRow, name: str) -> str:
    """The 95 % intervals of an accuracy: over the images of a run, and over several seeds or folds."""
    mean = row.exact(name)
    assert mean is not None
    count = count_test_images(row, name)
    found = []
    if count:
        found.append(
            f"{format_interval(wilson_interval(mean.mean, count))} over {count:,} {IMAGES[name]} images (Wilson)"
        )
    if mean.sd is not None:
        found.append(
            f"{format_interval(student_interval(mean.mean, mean.sd, mean.n))} over {mean.n} {row.repeats} (Student's t)"
        )
    what = f"{ACCURACY[name]} {mean.mean:.4f}"
    if not found:
        return f"{what}: one run on an unknown number of {IMAGES[name]} images, so there is no interval."
    return f"{what}, 95 % interval: {'; '.join(found)}."


def count_test_images(row: SettingRow, name: str) -> int:
    """The number of images behind the accuracy of each run; 0 if unknown."""
    part = name.partition("/")[0]
    for run in row.finished:
        if count := run.metric(f"{part}_images"):
            return int(count)
        if part == "test" and (found := run.confusion()):
            return int(found[0].sum())
    return 0

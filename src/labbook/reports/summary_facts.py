"""Facts for reading a sweep's metrics: what was swept, when, on which machine, by which code."""

from datetime import datetime

from labbook.inference.intervals import format_interval, student_interval, wilson_interval
from labbook.reports.columns import value_text
from labbook.reports.grouping import ACCURACY, Report, SettingRow
from labbook.reports.read_runs import RunRecord
from labbook.reports.table_cells import metric_title


def summary_facts(report: Report) -> list[tuple[str, str]]:
    """Names and values, in reading order."""
    counts = sorted({len(row.finished) for row in report.rows if row.finished})
    least_most = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else "".join(map(str, counts))
    resumed = sum(1 for run in report.sweep.runs if run.metrics.get("resumed"))
    libraries = {str(run.metrics["versions"]) for run in report.sweep.runs if "versions" in run.metrics}
    better = "lower" if report.falls else "higher"
    went_on = f"{resumed} run{'' if resumed == 1 else 's'} resumed after an interruption" if resumed else ""
    return [
        ("swept", ", ".join(report.sweep.over)),
        ("n", f"{least_most} finished run{'' if least_most == '1' else 's'} per combination" if counts else ""),
        ("compared by", f"{metric_title(report.objective)} ({better} is better)"),
        ("constant", constant_choices(report)),
        ("hardware", "; ".join(machines_text(report))),
        ("libraries", "; ".join(sorted(libraries))),
        ("code", ", ".join(f"{version} ({count})" for version, count in report.sweep.versions.items())),
        ("when", time_span(report)),
        ("resumed", went_on),
    ]


def constant_choices(report: Report) -> str:
    """The choices and the number of epochs that all runs share."""
    runs = [run for run in report.sweep.runs if run.config]
    same = []
    for group in ("experiment", "model", "data", "optimizer", "scheduler"):
        chosen = {run.choices.get(group) for run in runs}
        same += [f"{group}={name}" for name in chosen if name is not None and len(chosen) == 1]
    for name in ("epochs", "data.limit"):
        values = {value_text(run.settings[name]) for run in runs if run.settings.get(name) is not None}
        same += [f"{name}={value}" for value in values if len(values) == 1]
    return " ".join(same)


def machines_text(report: Report) -> list[str]:
    """Devices and precisions of the runs with metrics, with the words of one run on each."""
    found: dict[str, list[RunRecord]] = {}
    for run in report.sweep.runs:
        if run.state == "finished" and run.machine:
            found.setdefault(run.machine, []).append(run)
    several = len(found) > 1
    said = ((str(runs[0].metrics.get("hardware", machine)), len(runs)) for machine, runs in found.items())
    return [f"{words} ({count} runs)" if several else words for words, count in said]


def time_span(report: Report) -> str:
    """From the start of the first run to the last change of any."""
    runs = [run for run in report.sweep.runs if run.ended]
    if not runs:
        return ""
    first, last = min(run.started or run.ended for run in runs), max(run.ended for run in runs)
    starts, ends = map(datetime.fromtimestamp, (first, last))
    end = f"{ends:%H:%M}" if starts.date() == ends.date() else f"{ends:%Y-%m-%d %H:%M}"
    return f"{starts:%Y-%m-%d %H:%M} to {end}"


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
            f"This is the best of {len(report.ranked)} combinations by {metric_title(report.objective)}, so this value"
            " is a little too high."
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
    part = name.partition("/")[0]
    for run in row.finished:
        if count := run.metric(f"{part}_images"):
            return int(count)
        if part == "test" and (found := run.confusion()):
            return int(found[0].sum())
    return 0

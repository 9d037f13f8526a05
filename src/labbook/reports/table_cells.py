"""The table of a report as text, for terminal, Markdown and page."""

from dataclasses import dataclass
from typing import Any

from labbook.reports.columns import NULL, is_axis_number, value_text
from labbook.reports.grouping import ACCURACY, SHOWN, Mean, Report, SettingRow

OLD, UNLIKE = "*", "†"  # from other code; published for another number of epochs


@dataclass(frozen=True)
class Cell:
    """The shown text, and its sort key."""

    text: str
    value: Any = None  # a number or words; None comes last


@dataclass(frozen=True)
class Heading:
    """A column of the table."""

    title: str
    numeric: bool
    importance: int  # less important columns are left out first
    full: str  # the full name


def table_headings(report: Report) -> list[Heading]:
    found = []
    for index, (column, name) in enumerate(zip(report.columns, report.names, strict=True)):
        numeric = all(is_axis_number(row.values[index]) or row.values[index] in (None, NULL) for row in report.rows)
        found.append(Heading(name, numeric, 100 - index, column.name))
    found.append(Heading("n", True, 92, "finished runs"))
    weights = {report.objective: 95, "test/acc": 90, "val/acc": 80, "train_seconds": 50, "train/acc": 40}
    for name in report.figures:
        importance = 60 if name.startswith("test/") else 30
        found.append(Heading(metric_title(name), True, weights.get(name, importance), name))
    for name in report.published:
        importance = 45 if name == "train_seconds" else 85
        found.append(Heading(f"published {metric_title(name)}", True, importance, f"{name}, sorted by the difference"))
    return found


def metric_title(name: str) -> str:
    return {**SHOWN, "train/acc_eval": "train acc"}.get(name, name.replace("/", " ").replace("_", " "))


def table_cells(report: Report, row: SettingRow) -> list[Cell]:
    """One row, in the order of `table_headings`."""
    found = [Cell("–" if value is None else value_text(value), sort_key(value)) for value in row.values]
    done, all_runs = len(row.finished), len(row.runs)
    mark = OLD if row.old else ""
    others = {run.state for run in row.runs} - {"finished"}
    why = f" {others.pop()}" if len(others) == 1 else ""
    found.append(Cell((f"{done}" if done == all_runs else f"{done} of {all_runs}{why}") + mark, done))
    for name in report.figures:
        mean = row.metric(name)
        found.append(Cell(format_spread(name, mean), mean.mean if mean else None))
    for name in report.published:
        found.append(Cell(published_cell(row, name), row.difference(name)))
    return found


def published_cell(row: SettingRow, name: str) -> str:
    if name not in row.published:
        return ""
    difference = row.difference(name)
    ours = "" if difference is None else f" ({format_metric_cell(name, difference, '+')})"
    return format_metric_cell(name, row.published[name]) + (UNLIKE if row.unlike else "") + ours


def format_metric_cell(name: str, value: float, sign: str = "") -> str:
    if name == "train_seconds":
        return f"{value:{sign}.1f}"
    return f"{value:{sign},.0f}" if name == "images_per_second" else f"{value:{sign}.4f}"


def sort_key(value: Any) -> Any:
    return value if is_axis_number(value) or value is None else value_text(value)


def format_spread(name: str, mean: Mean | None) -> str:
    """A mean and, where there are several runs, the standard deviation."""
    if mean is None:
        return ""
    text = format_metric_cell(name, mean.mean)
    return text if mean.sd is None or name == "images_per_second" else f"{text} ± {format_metric_cell(name, mean.sd)}"


def footnotes(report: Report) -> list[str]:
    """The meaning of marks and words in the table."""
    notes = []
    if any(len(row.finished) > 1 for row in report.rows):
        notes.append("± is the standard deviation (of a sample) over the n finished runs of a combination.")
    if report.on_test and any(name in ACCURACY for name in report.figures):
        notes.append("The runs were validated on the test set, so no best epoch was selected and no val acc is shown.")
    if len(report.winners) > 1:
        notes.append(
            f"The runs are of {len(report.winners)} data sets. Their metrics cannot be compared, so the ranking is"
            " within each data set."
        )
    if "train/acc" in report.figures and any(row.exact("train/acc_eval") for row in report.rows):
        notes.append("train acc is measured after training, on the whole training set.")
    if any(row.old for row in report.rows):
        counts, code = report.sweep.versions, report.sweep.expected_code
        others = ", ".join(f"{name} ({count})" for name, count in counts.items() if name != code)
        notes.append(f"{OLD} has results of other code than the newest, {code} ({counts.get(code, 0)}): {others}.")
    if any(row.unlike and row.published for row in report.rows):
        notes.append(f"{UNLIKE} was published for another number of epochs.")
    systems = dict.fromkeys(row.system for row in report.rows if row.published and row.system)
    if systems:
        notes.append(f"Published results are those of {', '.join(systems)}; in brackets, ours minus theirs.")
    return notes


def tally_runs(report: Report) -> str:
    total = len(report.sweep.runs)
    counts = ", ".join(f"{count} {state}" for state, count in report.states.items())
    to_come = f", {report.sweep.to_come} not started" if report.sweep.to_come else ""
    return f"{total} run{'' if total == 1 else 's'}{': ' if counts else ''}{counts}{to_come}"

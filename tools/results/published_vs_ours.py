"""Each published figure of a setting that was measured, and ours."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from labbook.config.schema import lower_is_better
from labbook.reports.columns import value_order
from labbook.reports.grouping import Mean, Report, SettingRow
from labbook.reports.table_cells import format_metric_cell, format_spread, metric_title
from labbook.reports.tables import escape_markup

TOLERANCE = 0.005  # of an accuracy: what two trainings of one system may well differ by
SPREAD = 2  # standard deviations over the seeds, within which a published figure agrees with ours
SECONDS = "train_seconds"


@dataclass(frozen=True)
class Line:
    """One published figure of one setting, and ours."""

    system: str
    row: SettingRow
    name: str  # of the figure, as metrics.json has it
    label: str  # of the setting

    @property
    def ours(self) -> Mean:
        """Over the seeds."""
        mean = self.row.exact(self.name)
        assert mean is not None
        return mean

    @property
    def difference(self) -> float:
        """Ours less theirs."""
        difference = self.row.difference(self.name)
        assert difference is not None
        return difference

    @property
    def worse(self) -> bool:
        """Whether ours is worse by more than chance might make it."""
        sign = -1 if lower_is_better(self.name) else 1
        return sign * self.difference < -TOLERANCE

    @property
    def within_spread(self) -> bool | None:
        """Whether the published figure is within `SPREAD` standard deviations of our mean; None for a single seed."""
        return None if self.ours.sd is None else abs(self.difference) <= SPREAD * self.ours.sd

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        seconds = self.row.exact(SECONDS)
        theirs = self.row.published.get(SECONDS)
        return (
            self.system,
            escape_markup(self.label),
            metric_title(self.name),
            format_metric_cell(self.name, self.row.published[self.name]),
            format_spread(self.name, self.ours),
            str(self.ours.n),
            format_metric_cell(self.name, self.difference, "+") + (" **worse**" if self.worse else ""),
            {None: "", True: "yes", False: "no"}[self.within_spread],
            format_metric_cell(SECONDS, theirs) if theirs else "",
            format_metric_cell(SECONDS, seconds.mean) if seconds else "",
        )


def lines(reports: Iterable[Report]) -> list[Line]:
    """What was published of any setting after as many epochs, in the order of the systems' names and settings."""
    rows = [
        (report, row) for report in reports for row in report.rows if row.system and row.finished and not row.unlike
    ]
    rows.sort(key=lambda pair: (numbered(pair[1].system), [value_order(value) for value in pair[1].values]))
    found = [
        Line(row.system, row, name, label(report, row))
        for report, row in rows
        for name in row.published
        if name != SECONDS and row.exact(name)
    ]
    # A setting may be in two sweeps, where it came to the same figures.
    once = {(line.system, line.name, line.row.published[line.name], line.ours): line for line in reversed(found)}
    return [line for line in found if line in once.values()]


def numbered(system: str) -> tuple[str, int]:
    """Sorts A10 behind A9."""
    found = re.fullmatch(r"(\D*)(\d*)(.*)", system)
    assert found is not None
    return found[1], int(found[2] or 0)


def label(report: Report, row: SettingRow) -> str:
    """What tells the setting from the others of its sweep."""
    if report.columns:
        return row.label
    run = row.runs[0]
    swept = [
        f"{name.rpartition('.')[2]} {run.settings[name]}"
        for name in report.sweep.over
        if name in run.settings.keys() - {"seed"}
    ]
    return ", ".join(swept) or run.choices.get("experiment", row.label)


def is_accuracy(name: str) -> bool:
    """Whether a figure is one of those that are compared in points."""
    return name.endswith(("/acc", "/acc_eval"))

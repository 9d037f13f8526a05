"""The page of results: published and ours, system by system, from what was kept of the sweeps."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labbook.config import lower_is_better
from labbook.marks import placed
from labbook.report.cells import number, spread, title
from labbook.report.columns import order
from labbook.report.grouping import Report, Row, group
from labbook.report.tables import escaped
from labbook.results import frameworks
from labbook.results.keeping import kept

TOLERANCE = 0.005  # of an accuracy: what two trainings of one system may well differ by
SECONDS = "train_seconds"
HEADINGS = ("system", "setting", "figure", "published", "ours", "n", "difference", "seconds: published", "ours")
LEFT, RIGHT = "---", "---:"


@dataclass(frozen=True)
class Line:
    """One published figure of one setting, and ours."""

    system: str
    row: Row
    name: str  # of the figure, as metrics.json has it
    label: str  # of the setting

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
    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        ours, seconds = self.row.exact(self.name), self.row.exact(SECONDS)
        assert ours is not None
        theirs = self.row.published.get(SECONDS)
        return (
            self.system,
            escaped(self.label),
            title(self.name),
            number(self.name, self.row.published[self.name]),
            spread(self.name, ours),
            str(ours.n),
            number(self.name, self.difference, "+") + (" **worse**" if self.worse else ""),
            number(SECONDS, theirs) if theirs else "",
            number(SECONDS, seconds.mean) if seconds else "",
        )


def write(page: Path, folder: Path) -> list[Line]:
    """Put the figures of all kept sweeps into the page, lab by lab; the lines that are worse than published.

    A lab's figures are between the marks of its letter, `<!-- figures of lab A -->`, those of all labs between those of
    `all`, and those of a comparison of frameworks between those of its file's name.
    """
    reports = [group(sweep) for sweep in kept(folder)]
    text = page.read_text(encoding="utf-8") if page.exists() else "# Results\n"
    found = lines(reports)
    for letter, of_lab in itertools.groupby(found, key=lambda line: line.system[0]):
        text = placed(text, f"lab {letter}", "\n\n".join([table(list(of_lab)), again(reports, letter)]))
    for file in folder.glob("*.csv"):
        text = placed(text, file.stem, frameworks.table(file))
    text = placed(text, "all", summary(reports, found))
    page.write_text(text, encoding="utf-8")
    return [line for line in found if line.worse]


def lines(reports: Iterable[Report]) -> list[Line]:
    """What was published of any setting, in the order of the systems' names and of the settings."""
    rows = [(report, row) for report in reports for row in report.rows if row.system and row.finished]
    rows.sort(key=lambda pair: (numbered(pair[1].system), [order(value) for value in pair[1].values]))
    return [
        Line(row.system, row, name, label(report, row))
        for report, row in rows
        for name in row.published
        if name != SECONDS and row.exact(name)
    ]


def numbered(system: str) -> tuple[str, int]:
    """Sorts A10 behind A9."""
    found = re.fullmatch(r"(\D*)(\d*)(.*)", system)
    assert found is not None
    return found[1], int(found[2] or 0)


def label(report: Report, row: Row) -> str:
    """What tells the setting from the others of its sweep."""
    return row.label if report.columns else row.runs[0].choices.get("experiment", row.label)


def table(found: Sequence[Line]) -> str:
    """Lines as Markdown; what they share with the one before is not said again."""
    rows = [f"| {' | '.join(HEADINGS)} |", f"| {' | '.join((LEFT,) * 3 + (RIGHT,) * 6)} |"]
    before: Line | None = None
    for line in found:
        same = before is not None and before.row is line.row
        cells = ("", "", *line.cells[2:7], "", "") if same else line.cells
        rows.append(f"| {' | '.join(cells)} |")
        before = line
    return "\n".join(rows)


def again(reports: Iterable[Report], letter: str) -> str:
    """The commands that give a lab's figures again."""
    of_lab = [report for report in reports if any(row.system.startswith(letter) for row in report.rows)]
    commands = dict.fromkeys(command for report in of_lab for command in report.sweep.commands)
    return "\n".join(["```sh", *commands, "```"])


def summary(reports: Sequence[Report], found: Sequence[Line]) -> str:
    """How many figures agree, on what they were measured and how long that took."""
    accuracies = [line for line in found if line.name.endswith(("/acc", "/acc_eval"))]
    near = sum(abs(line.difference) <= TOLERANCE for line in accuracies)
    worse = sum(line.worse for line in accuracies)
    runs = [run for report in reports for run in report.sweep.runs if run.state == "finished"]
    hours = sum(run.figure(SECONDS) or 0.0 for run in runs) / 3600
    systems = len({line.system for line in found})
    points = f"{100 * TOLERANCE:.1f} points"
    return "\n".join(
        [
            f"- systems: {systems}; runs: {len(runs)}; hours of training: {hours:.1f}",
            f"- published accuracies: {len(accuracies)}; of ours {near} are within {points} of them,"
            f" {len(accuracies) - near - worse} are better by more and {worse} are worse by more",
            f"- hardware: {distinct(runs, 'hardware')}; CPU threads: {distinct(runs, 'threads')}",
            f"- libraries: {distinct(runs, 'versions')}",
            f"- code: {', '.join(sorted({run.version for run in runs}))}",
        ]
    )


def distinct(runs: Iterable[object], name: str) -> str:
    """All that the runs tell of this, once each."""
    said = (str(getattr(run, "metrics", {}).get(name, "")) for run in runs)
    return "; ".join(sorted({each for each in said if each}))

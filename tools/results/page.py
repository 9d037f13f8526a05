"""The page of results: published and ours, system by system, from what was kept of the sweeps."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from labbook.reports.columns import value_text
from labbook.reports.grouping import Mean, Report, group_runs
from labbook.reports.read_runs import RunRecord
from labbook.reports.table_cells import format_spread
from labbook.reports.tables import markdown_table
from labbook.runs import outputs
from tools.results import keras_table, transfer
from tools.results.archive import kept
from tools.results.markdown_sections import begin, placed
from tools.results.published_vs_ours import SECONDS, TOLERANCE, Line, is_accuracy, lines

HEADINGS = (
    *("system", "setting", "metric", "published", "ours", "n", "difference", "within 2 SD"),
    *("seconds: published", "ours"),
)
LEFT, RIGHT = "---", "---:"


def write(page: Path, folder: Path) -> list[Line]:
    """Put the figures of all kept sweeps into the page, lab by lab; these, line by line.

    A lab's figures are between the marks of its letter, `<!-- figures of lab A -->`, those of all labs between those of
    `all`, and those of a comparison of frameworks between those of its file's name. A sweep that has marks of its own,
    `<!-- figures of sweep NAME -->`, is shown there as a whole and not among the systems of its lab; the recall of
    each class is shown between marks of `recall NAME`, and the runs of all sweeps `transfer_NAME` between those of
    `transfer`.
    """
    reports = [group_runs(sweep) for sweep in kept(folder)]
    text = page.read_text(encoding="utf-8") if page.exists() else "# Results\n"
    alone = [report for report in reports if begin(f"sweep {report.sweep.name}") in text]
    of_labs = [report for report in reports if report not in alone]
    found = lines(of_labs)
    for letter, of_lab in itertools.groupby(found, key=lambda line: line.system[0]):
        text = placed(
            text,
            f"lab {letter}",
            "\n\n".join([table(list(of_lab)), again(of_labs, letter)]),
        )
    for file in folder.glob("*.csv"):
        text = placed(text, file.stem, keras_table.table(file))
    for report in alone:
        shown = "\n\n".join([markdown_table(report), hardware(finished(report)), fenced(report.sweep.commands)])
        text = placed(text, f"sweep {report.sweep.name}", shown)
    for report in reports:
        if begin(f"recall {report.sweep.name}") in text:
            text = placed(text, f"recall {report.sweep.name}", recalls(report))
    if transfers := transfer.measured(reports):
        runs = [run for item in transfers for run in item.row.finished]
        own = [report for report in reports if report.sweep.name.startswith(transfer.PREFIX)]
        commands = fenced(command for report in own for command in report.sweep.commands)
        text = placed(text, "transfer", "\n\n".join([transfer.table(transfers), hardware(runs), commands]))
        outputs.write_output(folder / "transfer.svg", transfer.plot(transfers))
    text = placed(text, "all", summary(reports, found))
    outputs.write_output(page, text)
    return found


def write_brief(readme: Path, page: Path, found: Sequence[Line]) -> None:
    """Put a row for each lab between the marks of `labs`, if the file has them; the labs are named as in the page."""
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    if begin("labs") in text:
        titles = dict(re.findall(r"(?m)^## Lab (\w): (.*)$", page.read_text(encoding="utf-8")))
        outputs.write_output(readme, placed(text, "labs", brief(found, titles)))


def brief(found: Sequence[Line], titles: Mapping[str, str]) -> str:
    """A row for each lab: its systems, how often they were trained, and how many accuracies came out as published."""
    rows = [
        "| lab | systems | runs | accuracies published | as good here | within 2 SD |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for letter, of_lab in itertools.groupby(found, key=lambda line: line.system[0]):
        own = list(of_lab)
        compared = [line for line in own if is_accuracy(line.name)]
        runs = sum(len(row.finished) for row in {id(line.row): line.row for line in own}.values())
        systems = ", ".join(dict.fromkeys(line.system for line in own))
        good = sum(not line.worse for line in compared)
        spreads = [line.within_spread for line in compared if line.within_spread is not None]
        within = f"{sum(spreads)} of {len(spreads)}" if spreads else ""
        rows.append(
            f"| {letter}: {titles.get(letter, '')} | {systems} | {runs} | {len(compared)} | {good} | {within} |"
        )
    return "\n".join(rows)


def table(found: Sequence[Line]) -> str:
    """Lines as Markdown; what they share with the one before is not said again."""
    rows = [f"| {' | '.join(HEADINGS)} |", f"| {' | '.join((LEFT,) * 3 + (RIGHT,) * 7)} |"]
    before: Line | None = None
    for line in found:
        same = before is not None and before.row is line.row
        cells = ("", "", *line.cells[2:8], "", "") if same else line.cells
        rows.append(f"| {' | '.join(cells)} |")
        before = line
    return "\n".join(rows)


def again(reports: Iterable[Report], letter: str) -> str:
    """The commands that give a lab's figures again."""
    of_lab = [report for report in reports if any(row.system.startswith(letter) for row in report.rows)]
    return fenced(dict.fromkeys(command for report in of_lab for command in report.sweep.commands))


def fenced(commands: Iterable[str]) -> str:
    """Commands as Markdown."""
    return "\n".join(["```sh", *commands, "```"])


def summary(reports: Sequence[Report], found: Sequence[Line]) -> str:
    """How many figures agree, on what they were measured and how long that took."""
    accuracies = [line for line in found if is_accuracy(line.name)]
    near = sum(abs(line.difference) <= TOLERANCE for line in accuracies)
    worse = sum(line.worse for line in accuracies)
    runs = [run for report in reports for run in finished(report)]
    hours = sum(run.metric(SECONDS) or 0.0 for run in runs) / 3600
    systems = len({line.system for line in found})
    points = f"{100 * TOLERANCE:.1f} points"
    return "\n".join(
        [
            f"- systems: {systems}; runs: {len(runs)}; training time: {hours:.1f} hours",
            f"- published accuracies: {len(accuracies)}; ours within {points}: {near};"
            f" more than {points} higher: {len(accuracies) - near - worse}; more than {points} lower: {worse}",
            hardware(runs),
            f"- libraries: {distinct(runs, 'versions')}",
            f"- code: {', '.join(sorted({run.version for run in runs}))}",
        ]
    )


def recalls(report: Report) -> str:
    """Accuracy and the recall of each class on the test images, for each setting over its seeds, as Markdown."""
    matrices = [[found for run in row.finished if (found := run.confusion())] for row in report.rows]
    names = next(names for found in matrices for _, names in found)
    headings = (*report.names, "n", "test acc", *(f"recall of {name}" for name in names))
    lines = [
        f"| {' | '.join(headings)} |",
        f"| {' | '.join([LEFT] * len(report.names) + [RIGHT] * (len(names) + 2))} |",
    ]
    for row, counted in zip(report.rows, matrices, strict=True):
        shares = [counts.diagonal() / counts.sum(axis=1) for counts, _ in counted]
        means = [Mean.of([float(share[number]) for share in shares]) for number in range(len(names))]
        cells = (
            *map(value_text, row.values),
            len(counted),
            *(format_spread("test/acc", each) for each in (row.metric("test/acc"), *means)),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def finished(report: Report) -> list[RunRecord]:
    """The runs that have figures."""
    return [run for run in report.sweep.runs if run.state == "finished"]


def hardware(runs: Iterable[RunRecord]) -> str:
    """What the runs were trained on, as a line of a list."""
    runs = list(runs)
    return f"- hardware: {distinct(runs, 'hardware')}; CPU threads: {distinct(runs, 'threads')}"


def distinct(runs: Iterable[RunRecord], name: str) -> str:
    """All that the runs tell of this, once each."""
    said = (str(run.metrics.get(name, "")) for run in runs)
    return "; ".join(sorted({each for each in said if each}))

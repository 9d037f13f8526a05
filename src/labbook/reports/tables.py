"""The table of a sweep on the terminal, as CSV and as Markdown."""

import re

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from labbook.console import WIDEST, literal, plain_table, wide_enough
from labbook.reports.columns import value_text
from labbook.reports.grouping import OBJECTIVE, Report, SettingRow
from labbook.reports.summary_facts import summary_facts
from labbook.reports.table_cells import Heading, footnotes, table_cells, table_headings, tally_runs
from labbook.runs.outputs import csv_text

MOST_ROWS = 40  # on the terminal


def print_table(report: Report, console: Console | None = None) -> None:
    console = wide_enough(console)
    if report.rows:
        console.print(terminal_table(report, console.width))
    more = len(report.rows) - MOST_ROWS
    cut = [f"... and {more} more combinations in summary.csv"] if more > 0 else []
    for note in [*cut, *footnotes(report)]:
        console.print(literal(note, style="dim"))
    console.print(literal(tally_runs(report), style="bold"))
    for run in report.failures:
        for line in (f"failed: {run.path}", f"  {run.reason}", f"  traceback: {run.log}"):
            console.print(literal(line), soft_wrap=True)


def terminal_table(report: Report, width: int) -> Table:
    heads = table_headings(report)
    rows = [[cell.text for cell in table_cells(report, row)] for row in report.rows[:MOST_ROWS]]
    widths = [
        min(max(cell_len(line[index]) for line in [[head.title for head in heads], *rows]), WIDEST)
        for index in range(len(heads))
    ]
    kept = fitting_columns(heads, widths, width)
    shown = [(heads[index].title, heads[index].numeric) for index in kept]
    return plain_table(shown, ([row[index] for index in kept] for row in rows), no_wrap=True, max_width=WIDEST)


def fitting_columns(heads: list[Heading], widths: list[int], room: int) -> list[int]:
    """The columns to show: without the least important ones until the others fit, and at least two."""
    kept = list(range(len(heads)))
    while len(kept) > 2 and sum(widths[index] + 2 for index in kept) - 2 > room:
        kept.remove(min(kept, key=lambda index: (heads[index].importance, -index)))
    return kept


def table_as_csv(report: Report) -> str:
    figures = [*dict.fromkeys([*report.figures, "train/acc_eval", *report.published])]
    figures = [name for name in figures if any(row.exact(name) for row in report.rows)]
    pairs = [f"{name}{part}" for name in figures for part in ("", " sd")]
    theirs = [f"{name} {part}" for name in report.published for part in ("published", "difference")]
    counts = ["runs", "finished", OBJECTIVE]
    heads = [*(column.name for column in report.columns), *counts, *pairs, *theirs, "system", "code_version"]
    rows = []
    for row in report.rows:
        versions = ", ".join(dict.fromkeys(run.version for run in row.finished))
        rows.append([*map(_raw, row.values), *_numbers(row, figures, report.published), row.system, versions])
    return csv_text([heads, *rows])


def _numbers(row: SettingRow, figures: list[str], published: list[str]) -> list[object]:
    objective = row.exact(OBJECTIVE)
    found: list[object] = [len(row.runs), len(row.finished), objective.mean if objective else None]
    for name in figures:
        mean = row.exact(name)
        found += [mean.mean, mean.sd] if mean else [None, None]
    for name in published:
        found += [row.published.get(name), row.difference(name)]
    return found


def _raw(value: object) -> object:
    return value if isinstance(value, float) else value_text(value) if value is not None else ""


def table_as_markdown(report: Report) -> str:
    lines = [f"# {escape_markup(report.sweep.name)}", "", tally_runs(report), ""]
    if report.rows:
        lines += [markdown_table(report), ""]
    lines += [f"{escape_markup(note)}\n" for note in footnotes(report)]
    lines += [f"- {escape_markup(name)}: {escape_markup(value)}" for name, value in summary_facts(report) if value]
    lines += [f"- failed: {escape_markup(str(run.path))}: {escape_markup(run.reason)}" for run in report.failures]
    lines += ["", "Commands:", "", *(f"    {' '.join(command.split())}" for command in report.sweep.commands)]
    return "\n".join(lines).rstrip() + "\n"


def markdown_table(report: Report) -> str:
    heads = table_headings(report)
    lines = [[escape_markup(head.title) for head in heads], ["---:" if head.numeric else "---" for head in heads]]
    lines += [[escape_markup(cell.text) for cell in table_cells(report, row)] for row in report.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def escape_markup(words: str) -> str:
    """Words that Markdown and HTML do not interpret."""
    plain = " ".join(words.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*|\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", plain)

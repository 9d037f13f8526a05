"""A comparison, and its print-out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from labbook.console import literal, plain_table, wide_enough
from labbook.reports.comparison import tables as sheets
from labbook.reports.comparison.load_runs import Candidate, load_candidates, predictions_of
from labbook.reports.comparison.pairwise import incomparable_note, pairs_of
from labbook.reports.comparison.tables import Sheet, ranking_sheet
from labbook.reports.curves import Curve, curve_chart, learning_curves
from labbook.reports.svg_charts import LineStyle, Picture, line_styles
from labbook.reports.sweep_page import PageSection, render_template

AT_ONCE = 4  # runs side by side on the terminal
MOST_BESIDE = 8  # runs that are compared setting by setting and in pairs; for more there is a ranking
MOST_ROWS = 40  # of a ranking, on the terminal


@dataclass(frozen=True)
class Comparison:
    """The tables and notes of a comparison."""

    runs: tuple[Candidate, ...]
    sheets: tuple[Sheet, ...]  # with a column per run; empty for many runs
    significance: Sheet  # or the ranking of many runs


def compare(paths: Sequence[Path]) -> Comparison:
    """Read the runs, test those without predictions again, and compare all with all."""
    runs = load_candidates(paths)
    predicted = [(run.label, *predictions_of(run)) for run in runs]
    answers = [(label, each) for label, each, _ in predicted if each is not None]
    said = [note for _, _, note in predicted if note]
    more = len(said) - MOST_BESIDE
    cut = [f"... and {more} more notes of this kind."] if more > 0 else []
    notes = [*said[:MOST_BESIDE], *cut, *incomparable_note(answers)]
    if len(runs) > MOST_BESIDE:
        return Comparison(tuple(runs), (), ranking_sheet(answers, notes))
    beside = tuple(make(runs) for make in (sheets.settings_sheet, sheets.metrics_sheet, sheets.times_sheet))
    return Comparison(tuple(runs), beside, sheets.significance_sheet(pairs_of(answers), notes))


def print_comparison(comparison: Comparison) -> None:
    """Print all tables; for many runs the ranking, without the last ones."""
    console = wide_enough()
    several = len(comparison.runs) <= MOST_BESIDE
    for run in comparison.runs if several else ():
        console.print(literal(f"{run.label}: {run.path}"), soft_wrap=True)
    for sheet in comparison.sheets:
        last = len(sheet.columns)
        blocks = [range(first, min(first + AT_ONCE, last)) for first in range(1, last, AT_ONCE)]
        print_sheet(console, sheet, blocks)
    verdict = comparison.significance if several else fit_sheet(comparison.significance)
    print_sheet(console, verdict, [range(1, len(verdict.columns))])


def fit_sheet(sheet: Sheet) -> Sheet:
    more = len(sheet.rows) - MOST_ROWS
    if more <= 0:
        return sheet
    return replace(
        sheet, rows=sheet.rows[:MOST_ROWS], notes=(f"... and {more} more runs: --html FILE has all.", *sheet.notes)
    )


def print_sheet(console: Console, sheet: Sheet, blocks: Sequence[range]) -> None:
    """Print a table in blocks of columns, each with the first column, and its notes."""
    console.print()
    console.print(literal(sheet.heading, style="bold"))
    for block in blocks if sheet.rows else ():
        heads = [(sheet.columns[index], sheet.numeric and index > 0) for index in (0, *block)]
        rows = ([row[index] for index in (0, *block)] for row in sheet.rows)
        console.print(plain_table(heads, rows, "dim", overflow="fold"))
    for note in sheet.notes:
        console.print(literal(note))


def comparison_html(comparison: Comparison) -> str:
    runs = comparison.runs
    title = f"{runs[0].label} against {runs[1].label}" if len(runs) == 2 else f"{len(runs)} runs compared"
    lines = line_styles([run.label for run in runs])
    pictures = compared_curves(runs, lines)
    sections = [PageSection("Curves", pictures, lines)] if pictures else []
    return render_template("comparison.html.j2", comparison=comparison, title=title, sections=sections)


def compared_curves(runs: Sequence[Candidate], lines: Sequence[LineStyle]) -> list[Picture]:
    """Accuracy and loss by epoch, and accuracy by seconds of training, with all runs in one plot."""
    kinds = {str(run.run.settings.get("data.validation")) for run in runs}
    held_out = {"val": "validation", "test": "test"}.get(kinds.pop(), "held-out") if len(kinds) == 1 else "held-out"
    pictures = learning_curves([[run.run] for run in runs], lines, held_out, "run")
    by_time = [timed_accuracy(run) for run in runs]
    if any(each is not None for each in by_time):
        pictures.append(curve_chart(by_time, lines, f"{held_out} accuracy", "seconds of training", "run"))
    return pictures


def timed_accuracy(run: Candidate) -> Curve | None:
    """Validation accuracy by seconds of training; None if there is none."""
    table = run.run.table
    if not {"seconds", "val/acc"} <= table.keys() or not len(table["seconds"]):
        return None
    return np.cumsum(table["seconds"]), table["val/acc"], None

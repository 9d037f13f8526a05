"""A comparison put together, and printed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, JustifyMethod

from labbook.comparison import sheets
from labbook.comparison.gathering import Candidate, answers_of, gather
from labbook.comparison.pairs import incomparable, pairs_of
from labbook.comparison.sheets import Sheet
from labbook.terminal import literal, plain_table, wide_enough

AT_ONCE = 4  # runs beside each other on the terminal


@dataclass(frozen=True)
class Comparison:
    """All that is said of some runs."""

    runs: tuple[Candidate, ...]
    sheets: tuple[Sheet, ...]  # with a column for each run
    significance: Sheet


def compare(paths: Sequence[Path]) -> Comparison:
    """Read the runs, test again those that kept no answers, and compare all with all.

    Raises:
        SettingError: see `gather`.
    """
    runs = gather(paths)
    told = [(run.label, *answers_of(run)) for run in runs]
    answers = [(label, each) for label, each, _ in told if each is not None]
    notes = [note for _, _, note in told if note] + incomparable(answers)
    beside = tuple(make(runs) for make in (sheets.settings, sheets.figures, sheets.times))
    return Comparison(tuple(runs), beside, sheets.significance(pairs_of(answers), notes))


def show(comparison: Comparison) -> None:
    """Print all tables."""
    console = wide_enough()
    for run in comparison.runs:
        console.print(literal(f"{run.label}: {run.path}"), soft_wrap=True)
    for sheet in comparison.sheets:
        last = len(sheet.columns)
        blocks = [range(first, min(first + AT_ONCE, last)) for first in range(1, last, AT_ONCE)]
        print_sheet(console, sheet, blocks)
    print_sheet(console, comparison.significance, [range(1, len(comparison.significance.columns))])


def print_sheet(console: Console, sheet: Sheet, blocks: Sequence[range]) -> None:
    """Print a table a block of columns at a time, each beside the first column, and its notes."""
    console.print()
    console.print(literal(sheet.heading, style="bold"))
    for block in blocks if sheet.rows else ():
        made = plain_table("dim")
        for index in (0, *block):
            justify: JustifyMethod = "right" if sheet.numeric and index else "left"
            made.add_column(literal(sheet.columns[index]), justify=justify, overflow="fold")
        for row in sheet.rows:
            made.add_row(*(literal(row[index]) for index in (0, *block)))
        console.print(made)
    for note in sheet.notes:
        console.print(literal(note))

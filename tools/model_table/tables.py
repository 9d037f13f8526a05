"""The table of networks on the terminal, as CSV and as Markdown."""

from collections.abc import Sequence
from dataclasses import astuple, fields, replace

from labbook.console import literal, plain_table, wide_enough
from labbook.reports.tables import escape_markup
from labbook.runs.outputs import csv_text
from tools.benchmark.processes import mebibytes
from tools.benchmark.report import machine
from tools.model_table.survey import Entry, Survey

COUNTED = ("model", "parameters", "million MACs")
TIMED = ("peak memory", "images/s forward", "images/s training")


def headings(timed: bool) -> tuple[str, ...]:
    """The columns; those in between have figures."""
    return (*COUNTED, *(TIMED if timed else ()), "paper")


def cells(entry: Entry, timed: bool) -> tuple[str, ...]:
    """A row, its figures in words; a dash where there is none."""
    counted = (f"{entry.parameters:,}" if entry.parameters else "-", f"{entry.macs / 1e6:,.2f}" if entry.macs else "-")
    paces = (f"{figure:,.0f}" if figure else "-" for figure in (entry.forward, entry.training))
    measured = (mebibytes(entry.memory) if entry.memory else "-", *paces) if timed else ()
    return (entry.name, *counted, *measured, entry.paper)


def notes(survey: Survey, entries: Sequence[Entry], timed: bool) -> list[str]:
    """What one must know to read the table."""
    usual = next(iter(survey.data.values()))
    spec = usual.spec
    about = [
        f"Images of {spec.channels} x {spec.size} x {spec.size} pixels, {spec.num_classes} classes. MACs:"
        " multiplications, each with its addition, of one image forward: half of the operations that torch counts."
    ]
    for name, data in survey.data.items():
        if data.spec.size != spec.size:
            about.append(f"Of {data.spec.size} x {data.spec.size} pixels for {name}, as train.py gives it.")
    if timed:
        per_core = "; seconds of processor time" if survey.choice.accelerator == "cpu" else ""
        about += [
            f"Batches of {usual.batch_size}. Peak memory: the most that tensors hold at once in a step of"
            " training, without Python and the libraries. Images/s: medians of the steps of about a second, after one"
            f" that does not count, with the images on the device{per_core}.",
            f"Measured: {machine(survey.choice)}.",
        ]
        if untrained := [entry.name for entry in entries if entry.forward and not entry.training]:
            about.append(f"A step of training is measured of classifiers alone, so not of {', '.join(untrained)}.")
        others = [entry for entry in entries if entry.precision not in ("", survey.choice.precision)]
        if others:
            about.append(f"In other precision: {', '.join(f'{entry.name} in {entry.precision}' for entry in others)}.")
    return about


def show(survey: Survey, entries: Sequence[Entry], timed: bool) -> None:
    """Print the table, why networks are missing in it, and what its figures are."""
    console = wide_enough()
    heads = headings(timed)
    brief = [replace(entry, paper=entry.paper.partition(', "')[0]) for entry in entries if not entry.refused]
    numeric = [(head, head not in (heads[0], heads[-1])) for head in heads]
    table = plain_table(numeric, (cells(entry, timed) for entry in brief), overflow="fold")
    for column in table.columns[:-1]:
        column.no_wrap = True
    console.print(table)
    for entry in entries:
        if entry.refused:
            console.print(literal(f"{entry.name}: {entry.refused}"), soft_wrap=True)
    for note in notes(survey, entries, timed):
        console.print(literal(note, style="dim"))


def as_csv(entries: Sequence[Entry]) -> str:
    """Raw numbers: bytes, images/s, MACs."""
    return csv_text([[item.name for item in fields(Entry)], *map(astuple, entries)])


def as_markdown(survey: Survey, entries: Sequence[Entry], timed: bool) -> str:
    """The same as GitHub shows it."""
    heads = headings(timed)
    rows = [heads, ("---", *("---:",) * (len(heads) - 2), "---")]
    rows += [tuple(map(escape_markup, cells(entry, timed))) for entry in entries if not entry.refused]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    refused = [f"- {escape_markup(entry.name)}: {escape_markup(entry.refused)}" for entry in entries if entry.refused]
    return "\n".join([*lines, "", *refused, *([""] if refused else []), "\n\n".join(notes(survey, entries, timed))])

"""The report of a sweep as files: a self-contained page, the table as CSV and Markdown, and pictures of both."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from labbook.config.path_rules import check_symlinks
from labbook.reports import images, read_runs, tables
from labbook.reports.confusion import matrices
from labbook.reports.curves import learning_curves
from labbook.reports.evidence import evidence
from labbook.reports.gradients import gradients
from labbook.reports.grouping import Report, group
from labbook.reports.maps import maps
from labbook.reports.parameter_effects import effects
from labbook.reports.summary_facts import compared_by, facts
from labbook.reports.svg_charts import Line, Picture, lines_of
from labbook.reports.table_cells import beside, cells, footnotes, headings, spread, tally, title
from labbook.runs import outputs

HERE = Path(__file__).parent
CURVES = "Learning curves"
PAGE, CSV, MARKDOWN = "report.html", "summary.csv", "summary.md"


@dataclass(frozen=True)
class Section:
    """Pictures of one kind, under a heading, with the legend that they share."""

    heading: str
    pictures: list[Picture]
    lines: list[Line]


def write(folder: Path) -> Report:
    """Read a sweep's folder, in whatever state its runs are, and write its files into it.

    Raises:
        SettingError: the folder is no sweep's, or one of the files in it is a link that leads out of it.
    """
    report = group(read_runs.read(folder))
    check_symlinks(
        folder, [folder / name for name in (CSV, MARKDOWN, PAGE, images.CURVES, images.MATRIX, images.TABLE)]
    )
    outputs.write_output(folder / CSV, tables.as_csv(report))
    outputs.write_output(folder / MARKDOWN, tables.as_markdown(report))
    shown = sections(report)
    outputs.write_output(folder / PAGE, html(report, shown))
    curves = next((section for section in shown if section.heading == CURVES), None)
    images.write(report, *((curves.pictures, curves.lines) if curves else ([], [])))
    return report


def html(report: Report, shown: list[Section]) -> str:
    """The page with its pictures, which needs nothing but itself."""
    return rendered(
        "page.html.j2",
        report=report,
        tally=tally(report),
        facts=[(name, value) for name, value in facts(report) if value],
        best=best(report),
        evidence=evidence(report),
        lower_is_better=report.falls,
        headings=headings(report),
        rows=[(row, cells(report, row)) for row in report.rows],
        footnotes=footnotes(report),
        sections=shown,
    )


def rendered(template: str, **values: Any) -> str:
    """A page made by one of the templates, with the style and the script that they share."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(
        style=_verbatim("page.css"), script=_verbatim("page.js"), now=f"{datetime.now():%Y-%m-%d %H:%M}", **values
    )


def best(report: Report) -> list[tuple[str, str]]:
    """The best setting's figures; nothing where there is no best one."""
    if (row := report.best) is None:
        return []
    figures = [(title(name), spread(name, row.figure(name))) for name in report.figures if name != "images_per_second"]
    theirs = [(f"published {title(name)}", beside(row, name)) for name in row.published]
    alike = [("tied with", "; ".join(each.label for each in report.tied))]
    return [(name, value) for name, value in (*figures, *theirs, *alike) if value]


def sections(report: Report) -> list[Section]:
    """All pictures that the runs have figures for."""
    lines = lines_of([row.label for row in report.rows])
    drawn: list[tuple[str, Callable[[], list[Picture]], bool]] = [
        (CURVES, lambda: curves_of(report, lines), True),
        ("What each parameter does", lambda: effects(report), False),
        (f"{compared_by(report)} by two parameters", lambda: maps(report), False),
        ("Gradients", lambda: gradients(report, lines), True),
        ("What is mistaken for what", lambda: matrices(report), False),
    ]
    found = [
        Section(heading[0].upper() + heading[1:], draw(), lines if legend else []) for heading, draw, legend in drawn
    ]
    return [section for section in found if section.pictures]


def curves_of(report: Report, lines: list[Line]) -> list[Picture]:
    """The learning curves of all settings."""
    return learning_curves([row.runs for row in report.rows], lines, "test" if report.on_test else "validation")


def _verbatim(name: str) -> Any:
    return Markup((HERE / name).read_text(encoding="utf-8"))

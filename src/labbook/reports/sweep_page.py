"""The report of a sweep as files: an HTML page, the table as CSV and Markdown, and images."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from labbook.config.path_rules import check_symlinks
from labbook.reports import images, read_runs, tables
from labbook.reports.confusion import confusion_pictures
from labbook.reports.curves import learning_curves
from labbook.reports.gradients import gradient_pictures
from labbook.reports.grouping import Report, group_runs
from labbook.reports.maps import parameter_maps
from labbook.reports.parameter_effects import effect_sections
from labbook.reports.summary_facts import evidence_sentences, summary_facts
from labbook.reports.svg_charts import LineStyle, Picture, line_styles
from labbook.reports.table_cells import (
    footnotes,
    format_spread,
    metric_title,
    published_cell,
    table_cells,
    table_headings,
    tally_runs,
)
from labbook.runs import outputs

HERE = Path(__file__).parent
CURVES = "Learning curves"
PAGE, CSV, MARKDOWN = "report.html", "summary.csv", "summary.md"


@dataclass(frozen=True)
class PageSection:
    """Pictures of one kind, with a heading and a legend."""

    heading: str
    pictures: list[Picture]
    lines: list[LineStyle]


def write_report(folder: Path) -> Report:
    """Read a sweep's folder, in any state, and write the report into it."""
    report = group_runs(read_runs.read_sweep(folder))
    check_symlinks(
        folder, [folder / name for name in (CSV, MARKDOWN, PAGE, images.CURVES, images.MATRIX, images.TABLE)]
    )
    outputs.write_output(folder / CSV, tables.table_as_csv(report))
    outputs.write_output(folder / MARKDOWN, tables.table_as_markdown(report))
    shown = page_sections(report)
    outputs.write_output(folder / PAGE, report_html(report, shown))
    curves = next((section for section in shown if section.heading == CURVES), None)
    images.write_images(report, *((curves.pictures, curves.lines) if curves else ([], [])))
    return report


def report_html(report: Report, shown: list[PageSection]) -> str:
    return render_template(
        "page.html.j2",
        report=report,
        tally=tally_runs(report),
        facts=[(name, value) for name, value in summary_facts(report) if value],
        best=best_text(report),
        evidence=evidence_sentences(report),
        lower_is_better=report.falls,
        headings=table_headings(report),
        rows=[(row, table_cells(report, row)) for row in report.rows],
        footnotes=footnotes(report),
        sections=shown,
    )


def render_template(template: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(
        style=_verbatim("page.css"), script=_verbatim("page.js"), now=f"{datetime.now():%Y-%m-%d %H:%M}", **values
    )


def best_text(report: Report) -> list[tuple[str, str]]:
    if (row := report.best) is None:
        return []
    figures = [
        (metric_title(name), format_spread(name, row.metric(name)))
        for name in report.figures
        if name != "images_per_second"
    ]
    theirs = [(f"published {metric_title(name)}", published_cell(row, name)) for name in row.published]
    alike = [("tied with", "; ".join(each.label for each in report.tied))]
    return [(name, value) for name, value in (*figures, *theirs, *alike) if value]


def page_sections(report: Report) -> list[PageSection]:
    lines, settings = line_styles([row.label for row in report.rows]), [row.runs for row in report.rows]
    held_out = "test" if report.on_test else "validation"
    two = f"{metric_title(report.objective)} by two settings"
    found = [
        PageSection(CURVES, learning_curves(settings, lines, held_out), lines),
        PageSection("Effect of each setting", effect_sections(report), []),
        PageSection(two[0].upper() + two[1:], parameter_maps(report), []),
        PageSection("Gradients", gradient_pictures(report, lines), lines),
        PageSection("Confusion matrix", confusion_pictures(report), []),
    ]
    return [section for section in found if section.pictures]


def _verbatim(name: str) -> Any:
    return Markup((HERE / name).read_text(encoding="utf-8"))

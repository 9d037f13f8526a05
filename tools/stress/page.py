"""The figures of each part, between its marks on a page that says what they mean."""

from collections.abc import Mapping
from pathlib import Path

from labbook.runs import outputs
from tools.benchmark import report
from tools.results.markdown_sections import placed
from tools.stress.part import Outcome


def write(path: Path, outcomes: Mapping[str, Outcome], about: str) -> None:
    """Put figures in the place of those of before; those of a part that the page has no marks for go to its end."""
    text = path.read_text(encoding="utf-8") if path.is_file() else "# Reliability\n"
    for name, outcome in outcomes.items():
        text = placed(
            text, name, "\n\n".join([report.rows(outcome.section), outcome.section.note, f"Measured: {about}"])
        )
    outputs.write_output(path, text)

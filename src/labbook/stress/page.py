"""The figures of each part, between its marks on a page that says what they mean."""

from collections.abc import Mapping
from pathlib import Path

from labbook.benchmark import report
from labbook.stress.part import Outcome


def write(path: Path, outcomes: Mapping[str, Outcome], about: str) -> None:
    """Put figures in the place of those of before; those of a part that the page has no marks for go to its end."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Reliability\n"
    for name, outcome in outcomes.items():
        text = placed(
            text, name, "\n\n".join([report.rows(outcome.section), outcome.section.note, f"Measured: {about}"])
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def placed(text: str, name: str, content: str) -> str:
    """A page with `content` between the marks of that name."""
    begin, end = (f"<!-- {word} {name} -->" for word in ("figures of", "end of"))
    if begin not in text or end not in text.partition(begin)[2]:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{content}\n\n{end}{rest.partition(end)[2]}"

"""Pages whose text is written by hand and whose figures are put in by a program, between marks."""

import argparse
from pathlib import Path

from labbook.runs import outputs


def page_parser(description: str | None) -> argparse.ArgumentParser:
    """The parser of a program that prints a table, and writes it to the page of its option --write."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE", help="also into a page of Markdown, between its marks")
    return parser


def write_section(page: Path, title: str, name: str, content: str) -> None:
    """Put `content` between the marks of that name in a page; a new page gets the title."""
    text = page.read_text(encoding="utf-8") if page.is_file() else f"# {title}\n"
    outputs.write_output(page, placed(text, name, content))


def publish(page: Path | None, title: str, name: str, content: str) -> None:
    """Print `content`, and write it to a page if one is given."""
    if page:
        write_section(page, title, name, content)
    with outputs.print_beside_outputs(page):
        print(content)


def placed(text: str, name: str, content: str) -> str:
    """A page with `content` between the marks of that name; where it has none, they are added at its end."""
    first, last = begin(name), f"<!-- end of {name} -->"
    if first not in text or last not in text.partition(first)[2]:
        text = f"{text.rstrip()}\n\n{first}\n{last}\n"
    before, _, rest = text.partition(first)
    return f"{before}{first}\n\n{content}\n\n{last}{rest.partition(last)[2]}"


def begin(name: str) -> str:
    """The mark before the figures of that name."""
    return f"<!-- figures of {name} -->"

"""Tables and texts on the terminal, without control characters from outside."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from labbook.errors import printable

WIDTH = 100  # columns, if the output is not a terminal
WIDEST = 32  # characters of a text from outside, such as a setting's value or a class name


def wide_enough(console: Console | None = None) -> Console:
    """A console that is `WIDTH` wide if the width of the terminal is unknown."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def plain_table(header_style: str = "bold") -> Table:
    """A table without lines, without columns yet."""
    return Table(box=None, pad_edge=False, header_style=header_style, padding=(0, 2, 0, 0))


def literal(text: str, style: str = "") -> Text:
    """A text for the terminal without markup or control characters."""
    return Text(printable(text), style=style)


def print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {printable(note)}", file=sys.stderr)

"""Tables and texts on the terminal, which obeys nothing of what is in them."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from labbook.errors import printable

WIDTH = 100  # columns, where the output is no terminal
WIDEST = 32  # characters of what comes from elsewhere, such as a setting's value or the name of a class


def wide_enough(console: Console | None = None) -> Console:
    """A console, or the one given, that is `WIDTH` wide where nobody's window tells how wide it is."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def plain_table(header_style: str = "bold") -> Table:
    """A table without lines, yet without columns."""
    return Table(box=None, pad_edge=False, header_style=header_style, padding=(0, 2, 0, 0))


def literal(text: str, style: str = "") -> Text:
    """A text for the terminal, of which it obeys nothing."""
    return Text(printable(text), style=style)

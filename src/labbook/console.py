"""Standard streams that accept any text, and tables and texts on the terminal. rich is imported by its first use."""

import codecs
import io
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from labbook.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

ERRORS = "labbook.plain"  # the name of Python's error handler for characters that an encoding does not have
PLAIN = {"±": "+-", "–": "-", "→": "->", "…": "...", "µ": "u", "×": "x", "†": "+", "━": "-", "╸": "-", "╺": "-"}
WIDTH = 100  # columns, if the output is not a terminal
WIDEST = 32  # characters of a text from outside, such as a setting's value or a class name


def replace_unencodable(error: UnicodeError) -> tuple[str, int]:
    """Replacements for characters that an encoding does not have: ASCII, or the code of the character."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign) or ascii(sign)[1:-1] for sign in signs), error.end


def repair_streams() -> None:
    """Open streams that the shell closed (`>&-`), replace unencodable characters, and outlast a reader such as `head`.

    Otherwise the next opened file would replace a closed stream, and get the prints of other libraries.
    """
    codecs.register_error(ERRORS, replace_unencodable)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # uses the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):  # a notebook's streams have none, and need none
            reconfigure(errors=ERRORS)
    if os.name != "nt":  # its console is not a file
        for number, name in ((1, "stdout"), (2, "stderr")):
            standard: Any = getattr(sys, name)
            if standard is getattr(sys, f"__{name}__"):  # as Python created it
                setattr(sys, name, outlast_reader(standard, number))


class StreamOutlastingReader(io.FileIO):
    """A stream whose reader may end, as `head` does: later writes are dropped."""

    unread = False  # the reader has ended

    def write(self, content: Any) -> int:
        """Write bytes; all count as written after the reader has ended."""
        try:
            return super().write(content)
        except BrokenPipeError:
            self.unread = True
            return memoryview(content).nbytes


def outlast_reader(stream: io.TextIOWrapper, descriptor: int) -> TextIO:
    """A stream that outlasts its reader, so that prints do not stop the program."""
    raw: Any = StreamOutlastingReader(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def reader_has_left(stream: object) -> bool:
    """Whether the reader of a stream has certainly ended."""
    below = getattr(stream, "buffer", None)
    return bool(getattr(getattr(below, "raw", below), "unread", False))


def wide_enough(console: "Console | None" = None) -> "Console":
    """A console that is `WIDTH` wide if the width of the terminal is unknown."""
    from rich.console import Console

    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def plain_table(
    heads: Iterable[tuple[str, bool]], rows: Iterable[Sequence[str]], header_style: str = "bold", **look: Any
) -> "Table":
    """A table without lines. `heads` are titles, and whether their columns are numbers; `look` is of all columns."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style=header_style, padding=(0, 2, 0, 0))
    for title, numeric in heads:
        table.add_column(literal(title), justify="right" if numeric else "left", **look)
    for row in rows:
        table.add_row(*map(literal, row))
    return table


def literal(text: str, style: str = "") -> "Text":
    """A text for the terminal without markup or control characters."""
    from rich.text import Text

    return Text(printable(text), style=style)


def print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {printable(note)}", file=sys.stderr)

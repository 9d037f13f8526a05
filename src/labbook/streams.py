"""Make standard streams accept any text in any encoding, also if they are closed or have no reader."""

import codecs
import io
import os
import sys
from typing import Any, TextIO

ERRORS = "labbook.plain"  # the name of Python's error handler for characters that an encoding does not have
PLAIN = {"±": "+-", "–": "-", "→": "->", "…": "...", "µ": "u", "×": "x", "†": "+", "━": "-", "╸": "-", "╺": "-"}


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

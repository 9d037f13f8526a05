"""Standard streams that take every text, in every encoding, also where the shell has closed them or nobody reads."""

import codecs
import io
import os
import sys
from typing import Any, TextIO

ERRORS = "labbook.plain"  # how Python names the way in which a stream writes what its encoding does not have
PLAIN = {"±": "+-", "–": "-", "→": "->", "…": "...", "µ": "u", "×": "x", "†": "+", "━": "-", "╸": "-", "╺": "-"}


def replace_unencodable(error: UnicodeError) -> tuple[str, int]:
    """What to write instead of signs that an encoding does not have: the usual ASCII, or else the code of the sign."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign) or ascii(sign)[1:-1] for sign in signs), error.end


def repair_streams() -> None:
    """Open what the shell has closed (`>&-`), let no sign of a text be refused, and outlast a reader such as `head`.

    The next file that is opened would take the place of a closed stream, and get what other libraries print there.
    """
    codecs.register_error(ERRORS, replace_unencodable)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free, this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):  # a notebook's own streams have none, and need none
            reconfigure(errors=ERRORS)
    if os.name != "nt":  # whose console is no file
        for number, name in ((1, "stdout"), (2, "stderr")):
            standard: Any = getattr(sys, name)
            if standard is getattr(sys, f"__{name}__"):  # as Python has made it
                setattr(sys, name, outlast_reader(standard, number))


class StreamOutlastingReader(io.FileIO):
    """A stream whose reader may leave, as `head` does: what is written afterwards is dropped."""

    unread = False  # the reader has left

    def write(self, content: Any) -> int:
        """Write bytes; all of them count as written once nobody reads."""
        try:
            return super().write(content)
        except BrokenPipeError:
            self.unread = True
            return memoryview(content).nbytes


def outlast_reader(stream: io.TextIOWrapper, descriptor: int) -> TextIO:
    """A stream like this one that outlasts its reader: no print is stopped, and so nothing that is done after it."""
    raw: Any = StreamOutlastingReader(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def reader_has_left(stream: object) -> bool:
    """Whether the reader of a stream is known to have left."""
    below = getattr(stream, "buffer", None)
    return bool(getattr(getattr(below, "raw", below), "unread", False))

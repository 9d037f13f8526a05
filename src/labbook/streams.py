"""Standard streams that take every text, whatever the terminal's encoding, also where the shell has closed them."""

import codecs
import os
import sys

ERRORS = "labbook.plain"  # how Python names the way in which a stream writes what its encoding does not have
PLAIN = {"±": "+-", "–": "-", "→": "->", "…": "...", "µ": "u", "×": "x", "†": "+", "━": "-", "╸": "-", "╺": "-"}


def plain(error: UnicodeError) -> tuple[str, int]:
    """What to write instead of signs that an encoding does not have: the usual ASCII, or else the code of the sign."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign) or ascii(sign)[1:-1] for sign in signs), error.end


def repair() -> None:
    """Open what the shell has closed (`>&-`), and let no sign of a text be refused.

    The next file that is opened would take the place of a closed stream, and get what other libraries print there.
    """
    codecs.register_error(ERRORS, plain)
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

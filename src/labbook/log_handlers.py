"""Where a run's lines go: its train.log and the terminal."""

import logging
import sys
from contextlib import suppress

from labbook.errors import unwritable


class LogFile(logging.FileHandler):
    """Lines that find no room are left out: what else is written there will say so."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Pass over a full disk; anything else is told as usual."""
        error = sys.exception()
        if not (isinstance(error, OSError) and unwritable(error)):
            super().handleError(record)


class Console(logging.Handler):
    """Prints to whatever standard output is at the time, so that lines appear above a progress bar."""

    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self.prefix = prefix  # tells which run speaks, where several share a terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line, if the terminal is still there: a run goes on without it."""
        with suppress(OSError, ValueError):
            print(f"{self.prefix}{self.format(record)}", flush=True)

"""The log of a run: train.log and the terminal."""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from labbook.errors import is_unwritable

OURS, LIGHTNINGS = logging.getLogger("labbook"), logging.getLogger("pytorch_lightning")


def print_line(line: str, error: bool = False) -> None:
    """Print a line in one write, so that runs that share a terminal do not mix their lines."""
    stream = sys.stderr if error else sys.stdout
    stream.write(f"{line}\n")
    stream.flush()


class RunLog:
    """While entered, log messages go to `file` with the time, and those of the program to the terminal.

    Without a file, nothing is logged: the first process of a run logs for all.
    """

    def __init__(self, file: Path | None, prefix: str = "") -> None:
        self.file, self.prefix = file, prefix
        self._handlers: list[logging.Handler] = []

    def __enter__(self) -> "RunLog":
        OURS.propagate = False
        OURS.setLevel(logging.INFO)
        self._handlers = [logging.NullHandler()]
        if self.file is not None:
            self._handlers = [LogFile(self.file, encoding="utf-8"), ConsoleHandler(self.prefix)]
            self._handlers[0].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            LIGHTNINGS.addHandler(self._handlers[0])
        for handler in self._handlers:
            OURS.addHandler(handler)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for handler in self._handlers:
            for logger in (OURS, LIGHTNINGS):
                logger.removeHandler(handler)
            with suppress(OSError):  # lines without room on the disk are lost
                handler.close()

    def traceback(self, error: BaseException) -> None:
        """Write a traceback to the file only: the command line tells the user."""
        for handler in self._handlers:
            if isinstance(handler, LogFile):
                exc_info = (type(error), error, error.__traceback__)
                handler.handle(OURS.makeRecord(OURS.name, logging.ERROR, "", 0, "failed", (), exc_info))


class LogFile(logging.FileHandler):
    """Drops lines if the disk is full: other writes report that."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Ignore a full disk; report anything else as usual."""
        error = sys.exception()
        if not (isinstance(error, OSError) and is_unwritable(error)):
            super().handleError(record)


class ConsoleHandler(logging.Handler):
    """Prints to the current standard output, so that lines appear above a progress bar."""

    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self.prefix = prefix  # names the run, if several share a terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line; a run continues without a terminal."""
        with suppress(OSError, ValueError):
            print_line(f"{self.prefix}{self.format(record)}")

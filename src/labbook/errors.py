"""The errors of the program, each one sentence.

Every function may raise SettingError for a setting that cannot work, and OSError for a file that it cannot read or
write. Docstrings name only other errors, except those of classes that users create themselves.
"""

import difflib
import errno
from collections.abc import Iterable

from labbook.installation import CHECKOUT, EXTRAS, requirement_with_extra

NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BROKEN = (errno.EIO, errno.ESTALE)  # a disk, or its server
NO_FILE = (errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG)  # not the name of a file
UNWRITABLE = NO_RIGHT + NO_ROOM + BROKEN + NO_FILE


class _InOneSentence:
    """An error that a notebook shows without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's name
        return [f"{type(self).__name__}: {self}"]


class SettingError(_InOneSentence, ValueError):
    """A setting that cannot work: the text names the setting and the valid choices. Exit code 2."""


class UntrainableError(SettingError):
    """A setting that cannot be trained with; a network that was trained with it can still be used."""


class RunError(_InOneSentence, RuntimeError):
    """A failure that no setting caused. Exit code 1."""


class TrainingError(RunError):
    """Training cannot continue, for example because the loss is not finite."""


class ExportError(RunError):
    """A network cannot be written as a file, or the file would compute something else."""


class StoppedBySignal(Exception):  # noqa: N818 - not an error
    """A signal stopped the run, after its state was saved."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum


class StoppedByUser(_InOneSentence, KeyboardInterrupt):
    """Ctrl-C or the stop button of a notebook ended a call from Python, after the state was saved."""


def list_choices(wrong: str, valid: Iterable[str], what: str = "choices", meant: str = "") -> str:
    """The end of an error sentence: `meant`, or the nearest spelling, and all valid names."""
    names = sorted(str(name) for name in valid)
    meant = meant or nearest(wrong, names)
    hint = f"did you mean {meant}? " if meant else ""
    return f"{hint}{what}: {', '.join(names)}"


def list_first(names: Iterable[str], most: int = 5, separator: str = ", ") -> str:
    """The first `most` names, and the number of others."""
    every = [printable(name) for name in names]
    comma = "," if most == 1 else ""  # the one name may be a pair
    more = f"{comma} and {len(every) - most:,} more" if len(every) > most else ""
    return separator.join(every[:most]) + more


def nearest(wrong: str, names: Iterable[str]) -> str:
    """The most similar name; empty if none is near."""
    return "".join(difflib.get_close_matches(wrong, sorted(names), n=1))


def first_line(error: BaseException) -> str:
    """The error's own sentence without lines about where it was raised."""
    return str(error).strip().split("\n")[0].rstrip(".")


def is_unwritable(error: OSError) -> bool:
    """Whether an error means that a place cannot be written: no room, no permission, or a broken disk."""
    return error.errno in UNWRITABLE


def missing_package_message(choice: str, extra: str) -> str:
    """The error for a choice that needs an extra, or another package."""
    if extra not in EXTRAS:
        return f"{choice} is not installed: pip install {extra}"
    if not CHECKOUT:
        return f"{choice} is not installed: pip install '{requirement_with_extra(extra)}'"
    return f"{choice} is not installed: make setup EXTRAS={extra}, or pip install -e '.[{extra}]'"


def printable(text: object) -> str:
    """A text on one line without control characters of a terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(text))


def abbreviate(text: str) -> str:
    """A text of any length and characters as part of a sentence."""
    return printable(text if len(text) <= 80 else f"{text[:80]}...")

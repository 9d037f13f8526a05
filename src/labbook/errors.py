"""The errors of the program, each one sentence.

Every function may raise SettingError for a setting that cannot work. Docstrings name only other errors, except those of
classes that users create themselves.
"""

import difflib
import errno
from collections.abc import Iterable

from labbook.installation import CHECKOUT, requirement_with_extra

NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BROKEN = (errno.EIO, errno.ESTALE)  # a disk, or the server that it is on
NO_FILE = (errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG)  # no name of a file
UNWRITABLE = NO_RIGHT + NO_ROOM + BROKEN + NO_FILE

EXTRAS = (
    "wandb",
    "mlflow",
    "joblib",
    "ray",
    "submitit",
    "optuna",
    "export",
    "serve",
    "photos",
    "datasets",
)  # of pyproject.toml


class SettingError(ValueError):
    """A setting that cannot work: its text names the setting and what would work. Exit code 2."""


class UntrainableError(SettingError):
    """A setting that no training takes; a network that was trained with it before can still be opened."""


class RunError(RuntimeError):
    """What was asked for could not be done, though nothing was wrong with how it was asked for. Exit code 1."""


class TrainingError(RunError):
    """A training that cannot go on, such as a loss that is no longer finite."""


class ExportError(RunError):
    """A network that cannot be written as a file, or whose file would not compute what it does."""


class StoppedBySignal(Exception):  # noqa: N818 - nothing went wrong
    """The run was asked to stop by a signal and has saved its state."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum


def list_choices(wrong: str, valid: Iterable[str], what: str = "choices", meant: str = "") -> str:
    """The end of an error sentence: what is `meant`, or else the nearest spelling, if any is near; and all valid."""
    names = sorted(str(name) for name in valid)
    meant = meant or nearest(wrong, names)
    hint = f"did you mean {meant}? " if meant else ""
    return f"{hint}{what}: {', '.join(names)}"


def list_first(names: Iterable[str], most: int = 5, separator: str = ", ") -> str:
    """The first `most` names, and how many follow."""
    every = [printable(name) for name in names]
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return separator.join(every[:most]) + more


def nearest(wrong: str, names: Iterable[str], likeness: float = 0.6) -> str:
    """The name that is spelt most alike, or nothing if none is near."""
    return "".join(difflib.get_close_matches(wrong, sorted(names), n=1, cutoff=likeness))


def first_line(error: BaseException) -> str:
    """The error's own sentence without the lines that say where it was raised."""
    return str(error).strip().split("\n")[0].rstrip(".")


def is_unwritable(error: OSError) -> bool:
    """Whether the place to write to is what fails: no room, no right, or the disk."""
    return error.errno in UNWRITABLE


def missing_package_message(choice: str, extra: str) -> str:
    """What to say of a choice that needs an extra, or a package that is none of ours."""
    if extra not in EXTRAS:
        return f"{choice} is not installed: pip install {extra}"
    if not CHECKOUT:
        return f"{choice} is not installed: pip install '{requirement_with_extra(extra)}'"
    return f"{choice} is not installed: make setup EXTRAS={extra}, or pip install -e '.[{extra}]'"


def printable(text: object) -> str:
    """A text on one line, without signs that a terminal would obey, whatever bytes it was made of."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(text))


def abbreviate(text: str) -> str:
    """A text of any length and any signs as part of a sentence."""
    return printable(text if len(text) <= 80 else f"{text[:80]}...")

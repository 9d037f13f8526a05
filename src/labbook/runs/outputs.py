"""Output files that a user names for a command. Imports no torch."""

import csv
import io
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import TextIO

from labbook.config.path_rules import check_local_path
from labbook.errors import SettingError, abbreviate
from labbook.files import LOCK, atomic_replace, folder_error, make_folder
from labbook.runs.locks import CLAIMS
from labbook.runs.run_folder import CHECKPOINTS, CONFIG, LOG, METRICS, PREDICTIONS, TABLE
from labbook.runs.sweep_folder import INDEX, MANIFEST

STANDARD_OUTPUT = Path("-")
# Files that a run and a sweep write into their folders, and that scripts read there.
OF_RUNS = (CONFIG, METRICS, TABLE, PREDICTIONS, LOG, LOCK, "events.out.*", f"{CHECKPOINTS}/*", "figures/*")
OF_SWEEPS = (
    MANIFEST,
    INDEX,
    f"{CLAIMS}/*",
    "summary.csv",
    "summary.md",
    "report.html",
    "curves.png",
    "confusion_matrix.png",
    "table.png",
    "experiment/*",
)

FileIdentity = tuple[int, int] | str


def check_outputs(named: Mapping[str, Path | None], read: Iterable[Path] = ()) -> None:
    """Refuse output files that cannot be written or would destroy data; to be called before the work.

    `named`: option -> file, or None if the option was not given. `read`: the files that the command reads.
    """
    given = {option: file for option, file in named.items() if file is not None}
    sources = {file_identity(file) for file in read} if given else set()
    options: dict[FileIdentity, str] = {}
    for option, file in given.items():
        check_local_path(option, file)
        text = f"{option} {abbreviate(str(file))}"
        if file.is_dir():
            raise SettingError(f"{text} is a folder: use the name of a file in it")
        if is_run_file(file):
            raise SettingError(f"{text} is a file of the run or sweep: use another name")
        what = file_identity(file)
        if what in sources:
            raise SettingError(f"{text} is read by the command: use another file")
        if (other := options.setdefault(what, option)) != option and not is_null(file):
            raise SettingError(f"{other} and {text} are the same file: use different files")


def file_identity(file: Path) -> FileIdentity:
    """Equal for two names of one file, also if it does not exist."""
    if file == STANDARD_OUTPUT:
        return str(file)
    try:
        status = file.stat()
    except OSError:
        return os.path.realpath(file)
    return status.st_dev, status.st_ino


def is_run_file(file: Path) -> bool:
    """Whether a name is that of a file in a run or sweep folder that belongs to it."""
    target = Path(os.path.realpath(file))
    for folder in target.parents[:2]:
        name = target.relative_to(folder).as_posix()
        for marks, kept in (((CONFIG, METRICS), OF_RUNS), ((MANIFEST,), OF_SWEEPS)):
            if all((folder / mark).is_file() for mark in marks) and any(fnmatch(name, own) for own in kept):
                return True
    return False


def is_null(file: Path) -> bool:
    """Whether what is written to a file is thrown away."""
    if os.path.normcase(file) == os.path.normcase(os.devnull):  # Windows cannot compare devices
        return True
    return file.exists() and not file.is_file() and file.samefile(os.devnull)


def is_standard_output(file: Path) -> bool:
    if file == STANDARD_OUTPUT:
        return True
    try:
        return os.path.samestat(file.stat(), os.fstat(1))
    except OSError:
        return False


def is_stream(file: Path) -> bool:
    """Whether a file is written in place and never replaced: standard output, a device or a pipe."""
    return is_standard_output(file) or (file.exists() and not file.is_file())


def write_output(file: Path, content: str | bytes) -> None:
    with open_output(file) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def open_output(file: Path) -> Iterator[Path]:
    """A path to write to; at the end its content goes to `file`.

    A regular file is replaced at once and keeps its permissions; a link stays, and its target is replaced. A stream
    (`is_stream`) is written to.
    """
    target = Path(os.path.realpath(file)) if file.is_symlink() else file
    if is_stream(file) or (target.exists() and not os.access(target.parent, os.W_OK)):
        with tempfile.TemporaryDirectory() as folder:
            partial = Path(folder) / "output"
            yield partial
            send_to_stream(file, partial.read_bytes())
        return
    make_folder(target.parent)
    if target.exists():
        os.close(os.open(target, os.O_WRONLY))  # fails for a write-protected file
    try:
        with atomic_replace(target) as partial:
            yield partial
            if target.exists():
                shutil.copymode(target, partial)
    except FileNotFoundError as error:  # no file can be created in a folder such as /proc
        raise folder_error(target) from error


def send_to_stream(file: Path, content: bytes) -> None:
    """Write to a stream, or in place; a reader that ends early is no error."""
    try:
        if is_standard_output(file):
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
            sys.stdout.flush()
            return
        cut = os.O_TRUNC if stat.S_ISREG(file.stat().st_mode) else 0
        with suppress(BrokenPipeError), open(os.open(file, os.O_WRONLY | cut), "wb") as opened:  # noqa: PTH123
            opened.write(content)
    except OSError as error:
        error.filename = str(file)
        raise


def print_beside_outputs(*files: Path | None) -> redirect_stdout[TextIO] | nullcontext[None]:
    """Within this context, prints go to standard error if one of the files is standard output."""
    taken = any(file and is_standard_output(file) and not is_null(file) for file in files)
    return redirect_stdout(sys.stderr) if taken else nullcontext()


# The first character of a formula in a spreadsheet, also in the wide letters of Chinese and Japanese.
FORMULA = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)", re.ASCII | re.IGNORECASE)


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV in which no text is a formula: such a text gets a `'` in front.

    Numbers, and texts that are numbers, do not change.
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(map(escape_formula, row) for row in rows)
    return out.getvalue()


def escape_formula(cell: object) -> object:
    """A cell that no spreadsheet evaluates."""
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\r", r"\r")  # Python's csv does not quote it, and its readers take it for the end of a line
    return f"'{cell}" if cell.startswith(FORMULA) and not NUMBER.fullmatch(cell) else cell

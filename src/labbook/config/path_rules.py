"""Names and paths from users and files: valid on every file system, and inside their folder."""

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

from labbook.errors import SettingError, abbreviate

LONGEST = 60  # characters of settings in a name
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices on Windows
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # pathlib removes the second slash
OUTSIDE = re.compile(
    r"(^|[\s,=\[({'\"])([/\\](?=\S|$)|~[\w.-]*([/\\]|$)|[A-Za-z]:[/\\])"  # from the root, a home folder or a drive
    r"|(^|[^\w.])\.\.([^\w.]|$)|\$|://"
)


def short_file_name(text: str) -> str:
    """Letters, digits and a few signs; a long text is cut and gets a hash."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-._")
    if RESERVED.fullmatch(plain):
        plain = f"{plain.partition('.')[0]}-{plain.partition('.')[2]}".rstrip("-") + "-"
    if len(plain) <= LONGEST:
        return plain
    return f"{plain[: LONGEST - 5].rstrip('-._')}-{hashlib.sha256(text.encode()).hexdigest()[:4]}"


def check_name(setting: str, name: str) -> None:
    if not NAME.fullmatch(name) or name.endswith("."):
        raise SettingError(
            f"{setting}={abbreviate(name)} must have only letters, digits, '.', '_' and '-', at most 200 characters,"
            " and not end in '.'"
        )
    if RESERVED.fullmatch(name):
        raise SettingError(f"{setting}={name} is a device name of Windows: use another name")


def check_local_path(setting: str, place: str | Path) -> None:
    """Refuse an address instead of a local file or folder: nothing is downloaded from there."""
    if ADDRESS.match(str(place)) or "\0" in str(place):
        raise SettingError(f"{setting}={abbreviate(str(place))} is not a local path: use the path of a folder")


def expand_user(setting: str, path: str) -> str:
    """A path with the user's home folder for a leading ~; `setting` is in the error."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        if Path(path).exists():  # a folder of this name
            return path
        raise SettingError(f"{setting}: there is no home folder of {abbreviate(path)}") from error


def escapes_folder(text: str) -> bool:
    """Whether a path may lead out of the folder it is relative to."""
    return OUTSIDE.search(text) is not None


def check_symlinks(folder: Path, paths: Iterable[Path] | None = None) -> None:
    """Refuse a folder with links that lead out of it, because files would be written elsewhere.

    `paths` are those to check; None: everything in the folder and its folders, as deep as a run writes. Deeper, loggers
    have their own links, such as that of Weights & Biases to its log.
    """
    home = folder.resolve()
    for path in (*folder.glob("*"), *folder.glob("*/*")) if paths is None else paths:
        if path.is_symlink() and not path.resolve().is_relative_to(home):
            raise SettingError(f"{path} leads out of {folder}, and a run writes only into its folder: copy it there")


def join_words(words: Iterable[str]) -> str:
    """The words of a command, quoted for the shell where needed."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def quote_override(name: str, value: object) -> str:
    """A setting for a shell and for Hydra, quoted where needed."""
    text = str(value)
    if re.fullmatch(r"[A-Za-z0-9/._+:-]+", text):
        return f"{name}={text}"
    quoted = re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", text))
    whole = f"{name}='{quoted}'"
    if os.name == "nt":  # cmd and PowerShell know double quotes
        return '"{}"'.format(whole.replace('"', r"\""))
    return shlex.quote(whole) if re.search(r'["$`\\!]', whole) else f'"{whole}"'

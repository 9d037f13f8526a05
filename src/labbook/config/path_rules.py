"""Names and places that may come from elsewhere: what every file system takes, and what stays where it belongs."""

import hashlib
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from labbook.errors import SettingError, abbreviate

LONGEST = 60  # characters of settings in a name
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices, to Windows
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a path as Python keeps it has lost the second slash
OUTSIDE = re.compile(
    r"(^|[\s,=\[({'\"])([/\\](?=\S|$)|~[\w.-]*([/\\]|$)|[A-Za-z]:[/\\])"  # from the root, a home or a drive
    r"|(^|[^\w.])\.\.([^\w.]|$)|\$|://"
)


def short_file_name(text: str) -> str:
    """Letters, digits and a few signs; too long a text is cut and told from others by a hash of the whole."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-._")
    if RESERVED.fullmatch(plain):
        plain = f"{plain.partition('.')[0]}-{plain.partition('.')[2]}".rstrip("-") + "-"
    if len(plain) <= LONGEST:
        return plain
    return f"{plain[: LONGEST - 5].rstrip('-._')}-{hashlib.sha256(text.encode()).hexdigest()[:4]}"


def check_name(setting: str, name: str) -> None:
    """Refuse what is no name of a folder everywhere, or would be one somewhere else."""
    if not NAME.fullmatch(name) or name.endswith("."):
        raise SettingError(
            f"{setting}={abbreviate(name)} must have only letters, digits, '.', '_' and '-', at most 200 characters,"
            " and not end in '.'"
        )
    if RESERVED.fullmatch(name):
        raise SettingError(f"{setting}={name} is a device name of Windows: use another name")


def check_local_path(setting: str, place: str | Path) -> None:
    """Refuse an address where a folder or file of this machine is asked for: nothing is fetched from anywhere."""
    if ADDRESS.match(str(place)) or "\0" in str(place):
        raise SettingError(f"{setting}={abbreviate(str(place))} is not a local path: use the path of a folder")


def expand_user(setting: str, path: str) -> str:
    """A path, with the user's home folder for a ~ that it begins with; `setting` is what a refusal names."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        if Path(path).exists():  # a folder of this name
            return path
        raise SettingError(f"{setting}: there is no home folder of {abbreviate(path)}") from error


def check_root_paths(config: DictConfig) -> None:
    """Refuse root settings that name a folder which is none of this machine, or not where it belongs."""
    check_local_path("log_dir", config.log_dir)
    for name in ("sweep.name", "sweep.job.folder", "sweep.job.launch"):
        if (value := OmegaConf.select(config, name)) is not None:
            check_name(name, value)


def escapes_folder(text: str) -> bool:
    """Whether a text names a place that need not lie below the one it is looked for in."""
    return OUTSIDE.search(text) is not None


def check_symlinks(folder: Path, paths: Iterable[Path] | None = None) -> None:
    """Refuse a folder with links in it that lead out of it, as whatever is written there would be written elsewhere.

    `paths` are those to look at; None: all that is in it and in its folders, which is as deep as a run writes. Deeper
    down loggers have links of their own, such as Weights & Biases to its log in the home folder.
    """
    home = folder.resolve()
    for path in (*folder.glob("*"), *folder.glob("*/*")) if paths is None else paths:
        if path.is_symlink() and not path.resolve().is_relative_to(home):
            raise SettingError(f"{path} leads out of {folder}, and a run writes only into its folder: copy it there")


def quote_override(name: str, value: object) -> str:
    """A setting as a shell and Hydra take it: quoted for the one, and for the other, where need be."""
    text = str(value)
    if re.fullmatch(r"[A-Za-z0-9/._+:-]+", text):
        return f"{name}={text}"
    quoted = re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", text))
    whole = f"{name}='{quoted}'"
    return shlex.quote(whole) if re.search(r'["$`\\!]', whole) else f'"{whole}"'

"""The file that `model.weights` means, and its content as a part of a run's identity. Imports no torch."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from labbook.config.path_rules import expand_user
from labbook.errors import SettingError
from labbook.runs.run_folder import BEST, CHECKPOINTS, CONFIG, LAST

PICKLES = (".pth", ".pt", ".ckpt", ".tar", ".th")


def check_weights_file(source: Any) -> None:
    """Refuse a local source that does not exist."""
    if isinstance(source, str) and "://" not in source:
        local_weights(source)


def local_weights(source: str) -> Path:
    """A file, or the best checkpoint of a run; the last one if there is no best."""
    path = Path(expand_user("model.weights", source))
    if path.is_dir():
        checkpoints = [path / CHECKPOINTS / name for name in (BEST, LAST)]
        found = next((file for file in checkpoints if file.is_file()), None)
        if found is None or not (path / CONFIG).is_file():
            raise SettingError(f"model.weights={source} is not the folder of a run with a checkpoint")
        return found
    if not path.is_file():
        raise SettingError(f"model.weights={source} does not exist")
    check_suffix(path.name, source)
    return path


def check_suffix(name: str, source: str) -> None:
    if name.endswith(".bin"):
        raise SettingError(f"model.weights={source}: .bin files can contain code; use the .safetensors file beside it")
    if not name.endswith((".safetensors", *PICKLES)):
        raise SettingError(f"model.weights={source}: use a file {', '.join(PICKLES)} or .safetensors, or a run folder")


def run_of_weights(source: str) -> Path | None:
    """The folder of the run that weights come from: given itself, or by one of its checkpoints."""
    path = Path(expand_user("model.weights", source))
    folders = () if "://" in source else (path, path.parent.parent)
    return next((folder for folder in folders if (folder / CONFIG).is_file()), None)


def sha256_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def weights_content(source: Any) -> str:
    """The start of the sha256 of a local file of weights; empty for an address, or without a file."""
    if not isinstance(source, str) or "://" in source:
        return ""
    try:
        file = local_weights(source)
        return sha256_at(file, file.stat().st_mtime_ns, file.stat().st_size)[:8]
    except (OSError, SettingError):  # which the run itself reports
        return ""


@cache
def sha256_at(file: Path, _changed: int, _size: int) -> str:
    """The sha256 of a file, which is read once for all runs of a sweep."""
    return sha256_of(file)

"""The origin of a run: its code, libraries and command. Imports torch only for its version."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from labbook import __version__
from labbook.config.invocation import program_name, started_as_labbook
from labbook.config.own_code import project_root
from labbook.config.path_rules import join_words
from labbook.config.secrets import mask_secrets
from labbook.installation import CHECKOUT

# The code that decides a result, in a checkout.
CODE = ("src", "configs", "train.py", "requirements.lock", "uv.lock")
SUFFIXES = (".py", ".yaml")  # of the code outside a git checkout


@cache
def code_version() -> str:
    """The package's version and the state of the code, read once per process.

    In a git checkout it is the commit, with `-dirty.DIGEST` if the files of `CODE` differ from it. Elsewhere it is a
    DIGEST of all Python files and configurations. The version of a user's project follows.
    """
    code = code_folder()
    package = code_state(code.parent) if code.name == "src" else digest_files(source_files([code]))
    project = project_root()
    own = f" project+{code_state(project)}" if project not in (None, CHECKOUT) else ""
    return f"{__version__}+{package}{own}"


def code_state(root: Path) -> str:
    """The state of `CODE` in a folder: its commit and the difference, or a digest of all files."""
    try:
        top, commit = _git(root, "rev-parse", "--show-toplevel", "--short", "HEAD").splitlines()
        changed = list(_changed(root, Path(top)))
    except (OSError, ValueError, subprocess.SubprocessError):
        return digest_files(source_files(root / name for name in CODE))
    return commit + (f"-dirty.{digest_files(changed)}" if changed else "")


def code_folder() -> Path:
    """`src` of a checkout, with all packages in it, or the installed package."""
    package = Path(__file__).parents[1]
    return package.parent if package.parent.name == "src" else package


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True, errors="replace").stdout


def _changed(root: Path, top: Path) -> Iterator[tuple[str, Path]]:
    """The files of `CODE` that differ from the commit, with new and deleted files and the targets of links in `src`."""
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
    for entry in filter(None, _git(root, "status", *options, "--", *CODE).split("\0")):
        path = top / entry[3:]
        yield from source_files([path]) if path.is_dir() else [(entry[3:], path)]  # a folder is a checkout of its own
    yield from source_files(sorted(path for path in (root / "src").glob("*") if path.is_symlink() and path.is_dir()))


def source_files(roots: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Python files and configurations in `roots`: name and path, in a stable order."""
    for root in roots:
        if not root.is_dir():
            yield root.name, root
        for folder, subfolders, files in os.walk(root):
            subfolders[:] = sorted(name for name in subfolders if name != "__pycache__" and not name.startswith("."))
            for name in sorted(files):
                if name.endswith(SUFFIXES):
                    path = Path(folder) / name
                    yield path.relative_to(root.parent).as_posix(), path


def digest_files(files: Iterable[tuple[str, Path]]) -> str:
    """Eight characters that are equal for equal names and contents; a missing file has none."""
    state = hashlib.sha256()
    for name, path in files:
        content = b""
        with suppress(OSError):
            content = path.read_bytes()
        state.update(f"{name} {len(content)} ".encode(errors="surrogateescape") + content)
    return state.hexdigest()[:8]


def other_code_version(metrics: Mapping[str, Any]) -> str | None:
    """The version of the code that made a run, if it is not the code of this process."""
    made_by = metrics.get("code_version")
    return None if made_by in (None, code_version()) else str(made_by)


def library_versions() -> str:
    import torch

    lightning = version("pytorch-lightning")
    return f"Python {platform.python_version()}, torch {torch.__version__}, Lightning {lightning}"


def typed_command() -> str:
    """The command that started this process, for a shell, on one line and without passwords."""
    program = program_name().split() if started_as_labbook() else ["python", Path(sys.argv[0]).name]
    words = [*program, *sys.argv[1:]]
    return mask_secrets(" ".join(join_words(words).split()))

"""Where a run comes from: which code, which libraries, and which command. Imports torch only to ask its version."""

import platform
import shlex
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from labbook import __version__
from labbook.secrecy import masked

# What figures are made of, in a checkout: other files may change, or be deleted, without a run being another one.
CODE = ("src", "configs", "train.py", "requirements.lock")


@cache
def code_version() -> str:
    """The package's version and, in a git checkout, the commit, with `-dirty` if code or settings differ from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        dirty = "-dirty" if _git("status", "--porcelain", "--", *CODE) else ""
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+{commit}{dirty}"


def _git(*words: str) -> str:
    """What git says of the checkout that this file is in."""
    command = ["git", "-C", str(Path(__file__).parents[2]), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()


def libraries() -> str:
    """What a run's figures depend on besides its own code."""
    import torch

    lightning = version("pytorch-lightning")
    return f"Python {platform.python_version()}, torch {torch.__version__}, Lightning {lightning}"


def command_line() -> str:
    """The command that started this process, as a shell takes it, in one line and without passwords."""
    words = ["python", Path(sys.argv[0]).name, *sys.argv[1:]]
    return masked(" ".join(shlex.join(words).split()))

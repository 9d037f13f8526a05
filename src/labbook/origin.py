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


@cache
def code_version() -> str:
    """The package's version and, in a git checkout, the commit and whether files differ from it."""
    here = Path(__file__).parent
    try:
        command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
        commit = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+{commit}"


def libraries() -> str:
    """What a run's figures depend on besides its own code."""
    import torch

    lightning = version("pytorch-lightning")
    return f"Python {platform.python_version()}, torch {torch.__version__}, Lightning {lightning}"


def command_line() -> str:
    """The command that started this process, as a shell takes it, in one line and without passwords."""
    words = ["python", Path(sys.argv[0]).name, *sys.argv[1:]]
    return masked(" ".join(shlex.join(words).split()))

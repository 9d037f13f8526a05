"""Whether the Python that runs a program can do so: its version, and the packages that Labbook needs.

Older Pythons read this too, from 3.6 on, so it is written in what they know.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from labbook.project import CHECKOUT

PYTHON = (3, 11, 4)  # the oldest, as in pyproject.toml
NEEDED = (  # the modules of the dependencies in pyproject.toml
    *("hydra", "torch", "pytorch_lightning", "torchvision", "PIL", "filelock", "jinja2", "matplotlib", "numpy"),
    *("omegaconf", "pydantic", "rich", "tensorboard", "torchmetrics", "torchview", "yaml"),
)


def problem() -> str:
    """What this Python lacks; nothing where it lacks nothing."""
    if sys.version_info < PYTHON:
        return f"it is Python {sys.version.split()[0]}, and Labbook needs {'.'.join(map(str, PYTHON))} or newer"
    missing = [name for name in NEEDED if name not in sys.modules and find_spec(name) is None]
    more = f" and {len(missing) - 3} more packages" if len(missing) > 3 else ""
    return f"it has no {', '.join(missing[:3])}{more}" if missing else ""


def advice() -> str:
    """The commands that make the environment and use it, for the folder that the user is in."""
    if CHECKOUT is None:
        return "install Labbook again, in an environment of its own"
    environment = CHECKOUT / ".venv"
    make, folder = ("make", Path(".venv")) if Path.cwd() == CHECKOUT else (f"make -C {CHECKOUT}", environment)
    if Path(sys.prefix).resolve() == environment.resolve():
        return f"run `{make} -B setup`, which installs all packages again"
    return f"run `{make} setup`, then `. {folder}/bin/activate`, or use `{make} train ARGS=...`"


def check() -> None:
    """End the program with one sentence where this Python cannot run it."""
    found = problem()
    if found:
        sys.stderr.write(f"error: {sys.executable} is not Labbook's environment, as {found}: {advice()}\n")
        sys.exit(2)

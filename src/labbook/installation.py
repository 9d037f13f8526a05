"""Where Labbook is installed, and whether this Python can run it: its version and packages.

Old Pythons, from 3.6 on, must be able to read this file.
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_ROOT = PACKAGE.parents[1]

# The folder of the checkout; None for an installed wheel, which contains the configurations.
CHECKOUT = _ROOT if PACKAGE.parent.name == "src" and (_ROOT / "configs").is_dir() else None
CONFIGS = CHECKOUT / "configs" if CHECKOUT else PACKAGE / "configs"

PROJECT_VARIABLE = "LABBOOK_PROJECT"  # tells the processes that a program starts their project
DISTRIBUTION = "labbook-vision"  # for pip; `labbook` on PyPI is another package


PYTHON, TOO_NEW = (3, 11, 4), (3, 14)  # the oldest, and the first that does not work, as in pyproject.toml
EXTRAS = (
    *("wandb", "mlflow", "joblib", "ray", "submitit", "optuna"),
    *("export", "serve", "photos", "datasets", "timm", "notebook", "docs"),
)
NEEDED = (  # the modules of the dependencies in pyproject.toml
    *("hydra", "torch", "pytorch_lightning", "torchvision", "PIL", "filelock", "jinja2", "matplotlib", "numpy"),
    *("omegaconf", "pydantic", "rich", "tensorboard", "torchmetrics", "torchview", "yaml"),
)


def check_python() -> None:
    """End the program with one sentence if Labbook cannot be installed for this Python."""
    if not PYTHON <= sys.version_info[:3] < TOO_NEW:
        version = ".".join(map(str, sys.version_info[:3]))
        way_out = "py -3.12 scripts/make.py setup" if os.name == "nt" else "make setup PYTHON=python3.12"
        sys.stderr.write(f"error: Labbook needs Python 3.11.4 to 3.13, and {sys.executable} is {version}: {way_out}\n")
        sys.exit(2)


def installation_problem() -> str:
    """What this Python lacks; empty if nothing."""
    if sys.version_info < PYTHON:
        return f"it is Python {sys.version.split()[0]}, and Labbook needs {'.'.join(map(str, PYTHON))} or newer"
    missing = [name for name in NEEDED if name not in sys.modules and find_spec(name) is None]
    more = f" and {len(missing) - 3} more packages" if len(missing) > 3 else ""
    return f"it has no {', '.join(missing[:3])}{more}" if missing else ""


def setup_advice() -> str:
    """The commands that create the environment and use it, from the current folder."""
    if CHECKOUT is None:
        return "install Labbook again, in an environment of its own"
    here = Path() if Path.cwd() == CHECKOUT else CHECKOUT
    environment = here / ".venv"
    if os.name == "nt":
        make, activate, arguments = f"python {here / 'scripts' / 'make.py'}", rf"{environment}\Scripts\activate", "..."
    else:
        make = "make" if here == Path() else f"make -C {CHECKOUT}"
        activate, arguments = f". {environment}/bin/activate", "ARGS=..."
    if Path(sys.prefix).resolve() == environment.resolve():
        return f"run `{make} setup`, which installs all packages again"
    return f"run `{make} setup`, then `{activate}`, or use `{make} train {arguments}`"


def check_installation() -> None:
    """End the program with one sentence if this Python cannot run it."""
    found = installation_problem()
    if found:
        sys.stderr.write(f"error: {sys.executable} is not Labbook's environment: {found}: {setup_advice()}\n")
        sys.exit(2)


def install_origin() -> str:
    """Where this Labbook comes from: the folder of its checkout, a wheel, a git address, or its name."""
    if CHECKOUT:
        return str(CHECKOUT)
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        direct_url = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        direct_url = {}
    url = str(direct_url.get("url", DISTRIBUTION))  # none for a package from an index
    if "vcs_info" in direct_url:
        return f"{direct_url['vcs_info']['vcs']}+{url}@{direct_url['vcs_info']['commit_id']}"
    return url2pathname(urlsplit(url).path) if url.startswith("file:") else url


def requirement_with_extra(extra: str) -> str:
    place = install_origin()
    url = Path(place).as_uri() if Path(place).is_absolute() else place
    return f"{DISTRIBUTION}[{extra}]" + ("" if place.startswith(DISTRIBUTION) else f" @ {url}")

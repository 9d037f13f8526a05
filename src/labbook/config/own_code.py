"""The project that a program runs for, and the allowed `_target_`s. Imports no torch.

A `_target_` is compared with `allowed_targets` before it is imported; `labbook.config.target_rules` then checks its
kind. The user's own packages are those of the project's folder; no settings file and no run folder can add one.
"""

import os
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from labbook.config.untrusted import read_settings_file
from labbook.errors import SettingError, list_choices
from labbook.installation import CHECKOUT, PROJECT_VARIABLE

OURS = (
    "labbook.callbacks.*",
    "labbook.data.*",
    "labbook.loggers.*",
    "labbook.training.losses.*",
    "labbook.models.*",
    "labbook.training.schedulers.*",
    "pytorch_lightning.Trainer",
    "pytorch_lightning.callbacks.*",
    "pytorch_lightning.loggers.*",
    "pytorch_lightning.profilers.*",
    "torch.nn.*",
    "torch.optim.*",
)
# The parts of other libraries whose classes only compute: no data sets, no networks with downloaded weights.
LIBRARIES = {
    "kornia": ("augmentation", "enhance", "filters", "geometry", "losses", "metrics"),
    "timm": ("layers", "loss", "models", "optim", "scheduler"),
    "torchmetrics": ("",),
    "torchvision": ("models", "ops", "transforms"),
}
GIVEN = (*OURS, *(f"{name}.{part}".rstrip(".") + ".*" for name, parts in LIBRARIES.items() for part in parts))

PYPROJECT, PROGRAM = "pyproject.toml", "train.py"
OF_RUNS = ("config.yaml", "metrics.json", "sweep.json")  # in the folder of a run or a sweep, which may be a stranger's


def project_root() -> Path | None:
    """The project's folder: that of the running train.py; None for an installed package without a project.

    For the command `labbook` it is the current folder, if `is_project`. Other programs have the project of the train.py
    that started them, such as a launcher's processes, or the checkout they are in.
    """
    program = Path(getattr(sys.modules.get("__main__"), "__file__", None) or "")
    if program.name == PROGRAM:
        return program.resolve().parent
    if program.stem == "labbook" and is_project(Path.cwd()):
        return Path.cwd()
    project = os.environ.get(PROJECT_VARIABLE)
    return Path(project) if project else CHECKOUT


def export_project_root() -> None:
    """Tell the processes that this one starts its project."""
    if root := project_root():
        os.environ[PROJECT_VARIABLE] = str(root)


def is_project(folder: Path) -> bool:
    """Whether a folder has train.py and a pyproject.toml with [tool.labbook], and is not a run or a sweep."""
    if not (folder / PROGRAM).is_file() or any((folder / name).exists() for name in OF_RUNS):
        return False
    return "labbook" in tool_tables(folder / PYPROJECT)


def project_around(folder: Path) -> Path | None:
    """The project that a folder is in; None if it is in none."""
    return next((found for found in (folder, *folder.parents) if is_project(found)), None)


def tool_tables(file: Path) -> dict[str, Any]:
    """The [tool] table of a pyproject.toml; empty if there is no file."""
    try:
        content = tomllib.loads(read_settings_file(file))
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"{file} cannot be read: {error}") from error
    found = content.get("tool", {})
    return found if isinstance(found, dict) else {}


def own_packages(root: Path) -> tuple[str, ...]:
    """The user's own packages: those in `root`/src, and those that its pyproject.toml names."""
    file = root / PYPROJECT
    table = tool_tables(file).get("labbook", {})
    for key in table if isinstance(table, dict) else ["labbook"]:
        if key != "packages":
            meant = list_choices(key, ["packages"], "settings")
            raise SettingError(f"{file}: tool.labbook.{key} is not a setting; {meant}")
    named = table.get("packages", [])
    if not isinstance(named, list) or not all(isinstance(name, str) and name.isidentifier() for name in named):
        raise SettingError(f'{file}: tool.labbook.packages must be a list of names such as ["mylab"], not {named!r}')
    found = [path.stem for path in sorted((root / "src").glob("*")) if is_package(path)]
    return tuple(dict.fromkeys(name for name in (*found, *named) if name != "labbook"))


def is_package(path: Path) -> bool:
    code = path.suffix == ".py" if path.is_file() else path.suffix == "" and any(path.glob("*.py"))
    return code and path.stem.isidentifier() and not path.stem.startswith("_")


def allowed_targets() -> tuple[str, ...]:
    """What `_target_` may name, for Hydra's `execution_whitelist`; makes own packages importable."""
    return (*GIVEN, *(f"{name}.*" for name in _importable(project_root())))


@cache
def _importable(root: Path | None) -> tuple[str, ...]:
    """The packages of a project; their folders come last in sys.path, so that they hide no other package."""
    own = own_packages(root) if root else ()
    folders = (str(folder) for folder in (root / "src", root)) if root and own else ()
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    return own


def describe_allowed_targets() -> str:
    """The end of a sentence: what `_target_` may name."""
    root, listed = project_root(), ", ".join(allowed_targets())
    where = f"; your own packages are those in {root}/src and in [tool.labbook] of {PYPROJECT} there" if root else ""
    return listed + where

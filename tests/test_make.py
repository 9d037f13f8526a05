"""`make setup`: extras are added to those that are installed, and what cannot work is refused in one sentence."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from labbook.errors import EXTRAS, missing_package_message

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder in which `make setup` has installed joblib and ray."""
    for name in ("Makefile", "pyproject.toml", *(path.name for path in ROOT.glob("requirements*.lock"))):
        (tmp_path / name).write_text(MAKEFILE if name == "Makefile" else "")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".extras").write_text("joblib ray\n")
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "installed"),
    [
        (["EXTRAS=submitit"], "joblib ray submitit"),
        (["EXTRAS=ray optuna joblib"], "joblib optuna ray"),
        (["EXTRAS="], ""),
        ([], None),
        (["EXTRAS=ray"], None),
    ],
)
def test_extras_are_added_and_taken_away_together(arguments: list[str], installed: str | None, project: Path) -> None:
    ended = make(project, "-n", "setup", *arguments)
    assert ended.returncode == 0, ended.stderr
    if installed is None:
        assert "Nothing to be done" in ended.stdout
        return
    synced = re.search(r"uv pip sync .* requirements\.lock(.*)", ended.stdout)
    assert synced
    assert synced[1].split() == [f"requirements-{extra}.lock" for extra in installed.split()]
    assert f"echo '{installed}' > .venv/.extras" in ended.stdout


def test_an_unknown_extra_is_refused_with_all_that_there_are(project: Path) -> None:
    ended = make(project, "setup", "EXTRAS=hydra")
    assert ended.returncode == 2
    assert f"*** hydra is not an extra; EXTRAS takes {' '.join(EXTRAS)}.  Stop." in ended.stderr


def test_a_python_that_is_too_old_is_refused(project: Path) -> None:
    old = project / "python3"
    old.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "import sys; sys.version_info = (3, 9, 18); $2"\n')
    old.chmod(0o755)
    (project / ".venv" / ".installed").unlink()
    ended = make(project, "setup", f"PYTHON={old}")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: Labbook needs Python 3.11.4 to 3.13, and ")
    assert " is 3.9.18: make setup PYTHON=python3.12\n" in ended.stderr


def test_the_extras_are_those_of_pyproject_and_have_a_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(EXTRAS) == project["optional-dependencies"].keys() - {"dev"}
    assert f"OPTIONAL := {' '.join(EXTRAS)}\n" in MAKEFILE
    assert all((ROOT / f"requirements-{extra}.lock").is_file() for extra in EXTRAS)


def test_what_is_not_installed_comes_with_a_command_that_works() -> None:
    assert missing_package_message("logger=wandb", "wandb").endswith(
        ": make setup EXTRAS=wandb, or pip install -e '.[wandb]'"
    )
    assert missing_package_message("logger=comet", "comet_ml") == "logger=comet is not installed: pip install comet_ml"

"""Packages of the user's own are those of the project, and no file from elsewhere names another.

What a stranger sends has a package that leaves a mark when it is imported, and a pyproject.toml that names it.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from labbook.config import own_code
from labbook.errors import SettingError
from tests.conftest import Command
from tests.security.conftest import BAIT, QUICK, Traps, refused

NOT_ALLOWED = f"_target_={BAIT}.Net is not allowed; allowed are labbook.callbacks.*"
TRUSTING = f'[tool.labbook]\npackages = ["{BAIT}"]\n'


def make_project(folder: Path) -> Path:
    """A folder with all that makes a project, whose package is the bait."""
    (folder / "src" / BAIT).mkdir(parents=True)
    for code in (folder / "src" / BAIT / "__init__.py", folder / f"{BAIT}.py"):
        code.write_text("import pathlib\npathlib.Path('canary').touch()\nclass Net: ...\n")
    (folder / "pyproject.toml").write_text(TRUSTING)
    (folder / "train.py").write_text("")
    return folder


@pytest.mark.parametrize("inside", [False, True])
def test_a_strangers_run_names_no_package(
    inside: bool, stranger: Callable[..., Path], evaluated: Command, program: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_project(stranger(model={"_target_": f"{BAIT}.Net"}))
    if inside:
        monkeypatch.chdir(run)
    for command in (lambda: program(f"resume={run}", "epochs=3"), lambda: evaluated(str(run))):
        refused(command(), f"model.{NOT_ALLOWED}")
        assert not Path("canary").exists()


CONFIG_DIR, SEARCHPATH = "--config-dir=more", "hydra.searchpath=[file://more]"


@pytest.mark.parametrize(
    ("way", "group"),
    [
        (CONFIG_DIR, "model"),
        (SEARCHPATH, "callbacks"),
        *(
            pytest.param(CONFIG_DIR, group, marks=pytest.mark.slow)
            for group in ("data", "optimizer", "scheduler", "logger")
        ),
    ],
)
def test_a_folder_of_settings_names_no_package(way: str, group: str, program: Command) -> None:
    more = make_project(Path("more"))
    (more / group).mkdir()
    node = f"_target_: {BAIT}.Net\n"
    (more / group / "evil.yaml").write_text(node if group != "callbacks" else f"evil: {{{node.strip()}}}\n")
    settings = [item for item in QUICK if not item.startswith((f"{group}=", f"{group}."))]
    refused(program(way, *settings, f"{group}=evil"), NOT_ALLOWED)


def test_a_setting_that_a_choice_of_another_folder_lacks_is_refused(program: Command) -> None:
    (Path("more") / "data").mkdir(parents=True)
    (Path("more") / "data" / "mine.yaml").write_text("_target_: labbook.data.digits.Digits\nlimit: null\n")
    assert refused(program(SEARCHPATH, "data=mine", "data.lim=64")).startswith(
        "data.lim is not a setting; did you mean limit"
    )


def test_a_project_in_the_current_folder_is_not_that_of_train_py(traps: Traps, program: Command) -> None:
    make_project(traps.home)
    refused(program(*QUICK, f"model._target_={BAIT}.Net"), f"model.{NOT_ALLOWED}")


def test_the_command_has_the_project_of_the_current_folder(traps: Traps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only if that is a project, and not one that holds a run or a sweep, which may be anybody's."""
    monkeypatch.delenv(own_code.PROJECT_VARIABLE, raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/usr/bin/labbook", raising=False)
    assert own_code.project_root() == own_code.CHECKOUT
    make_project(traps.home)
    for name in ("config.yaml", "metrics.json", "sweep.json"):
        (traps.home / name).touch()
        assert own_code.project_root() == own_code.CHECKOUT
        (traps.home / name).unlink()
    (traps.home / "pyproject.toml").write_text("[tool.other]\n")
    assert own_code.project_root() == own_code.CHECKOUT
    (traps.home / "pyproject.toml").write_text(TRUSTING)
    assert own_code.project_root() == traps.home
    (below := traps.home / "logs").mkdir()
    monkeypatch.chdir(below)
    assert own_code.project_root() == own_code.CHECKOUT


def test_processes_have_the_project_of_the_train_py_that_started_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(own_code.PROJECT_VARIABLE, "elsewhere")
    assert own_code.project_root() == Path("elsewhere")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "train.py"), raising=False)
    own_code.export_project_root()
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "popen_loky_posix.py", raising=False)
    assert own_code.project_root() == tmp_path


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tool.labbook]\npackages = 'mylab'", 'tool.labbook.packages must be a list of names such as ["mylab"]'),
        ("[tool.labbook]\npackages = ['my lab']", "tool.labbook.packages must be a list of names"),
        ("[tool.labbook]\npackages = ['*']", "tool.labbook.packages must be a list of names"),
        ("[tool.labbook]\npackage = ['mylab']", "tool.labbook.package is not a setting; did you mean packages?"),
        ("[tool.labbook\n", "cannot be read: "),
    ],
)
def test_a_wrong_pyproject_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(SettingError) as error:
        own_code.own_packages(tmp_path)
    assert sentence in str(error.value)


def test_packages_and_modules_of_src_are_the_users_own(tmp_path: Path) -> None:
    for name in ("mylab", "labbook", "_private", "__pycache__", "some-data", "mylab.egg-info", "empty"):
        (tmp_path / "src" / name).mkdir(parents=True)
        if name != "empty":
            (tmp_path / "src" / name / "code.py").touch()
    (tmp_path / "src" / "losses.py").touch()
    (tmp_path / "pyproject.toml").write_text("[tool.labbook]\npackages = ['beside']")
    assert own_code.own_packages(tmp_path) == ("losses", "mylab", "beside")


def test_a_wrong_pyproject_ends_the_program_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Callable[[ModuleType], Command]
) -> None:
    from labbook.cli import command_line

    (tmp_path / "pyproject.toml").write_text("[tool.labbook")
    monkeypatch.setenv(own_code.PROJECT_VARIABLE, str(tmp_path))
    module = ModuleType("train")
    module.main = command_line.allowed_targets  # type: ignore[attr-defined]
    ended = script(module)()
    assert (ended.code, ended.sentence[: len(str(tmp_path))]) == (2, str(tmp_path))

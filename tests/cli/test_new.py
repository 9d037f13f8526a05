"""The files of a network or a data set of one's own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

import pytest

from labbook.cli.commands import new
from labbook.config import own_code, renames
from labbook.installation import CHECKOUT, PROJECT_VARIABLE
from tests.cases import each_case
from tests.conftest import Command
from tests.docs.pages import PAGES, blocks


@pytest.fixture
def command(script: Callable[[ModuleType], Command]) -> Command:
    return script(new)


@pytest.mark.parametrize(
    ("group", "name", "page"), [("model", "linear", "README.md"), ("data", "noise", "docs/data.md")]
)
def test_the_pages_explain_what_is_made(group: str, name: str, page: str) -> None:
    source, settings = new.render_files(group, name).values()
    assert source in blocks("python", PAGES[page])
    assert settings in blocks("yaml", PAGES[page])


@pytest.mark.parametrize("kind", new.KINDS)
@pytest.mark.parametrize("package", ["labbook", "mylab"])
def test_the_class_is_where_its_settings_say_and_is_allowed(kind: str, package: str) -> None:
    code, settings = new.render_files(kind, "my_own", package).items()
    module = code[0].removeprefix("src/").removesuffix(".py").replace("/", ".")
    (target,) = re.findall(r"_target_: (\S+)", settings[1])
    assert target == f"{module}.MyOwn"
    assert "class MyOwn(" in code[1]
    patterns = (*own_code.OURS, "mylab.*")
    assert any(fnmatchcase(target, pattern) for pattern in patterns)
    assert renames.current_target(target) == target


@pytest.fixture
def mylab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project that the program runs for, with a package."""
    (tmp_path / "src" / "mylab").mkdir(parents=True)
    (tmp_path / "src" / "mylab" / "__init__.py").touch()
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "code", "settings"),
    [
        ("model", "src/mylab/models/my_net.py", "configs/model/my_net.yaml"),
        ("module", "src/mylab/models/my_net.py", "configs/model/my_net.yaml"),
        ("data", "src/mylab/data/my_net.py", "configs/data/my_net.yaml"),
        ("loss", "src/mylab/losses/my_net.py", "configs/loss/my_net.yaml"),
        ("callback", "src/mylab/callbacks/my_net.py", "configs/callbacks/my_net.yaml"),
    ],
)
def test_both_files_go_into_the_project_and_nothing_is_overwritten(
    kind: str, code: str, settings: str, command: Command, mylab: Path
) -> None:
    made = command(kind, "my_net")
    *files, hint, _ = made.out.splitlines()
    assert files == [f"made: {code}", f"made: {settings}"]
    assert hint == f"try it: make train ARGS='{settings.split('/')[1]}=my_net epochs=1'"
    assert re.search(r"^class MyNet\(", (mylab / code).read_text(), re.MULTILINE)
    assert (
        f"_target_: {code.removeprefix('src/').removesuffix('.py').replace('/', '.')}.MyNet"
        in (mylab / settings).read_text()
    )
    (mylab / code).write_text("mine")
    assert command(kind, "my_net").sentence == f"NAME=my_net is taken: {code} exists"
    assert (mylab / code).read_text() == "mine"


def test_a_folder_that_is_no_project_is_told_how_to_become_one(
    command: Command, monkeypatch: pytest.MonkeyPatch, mylab: Path
) -> None:
    shutil.rmtree(mylab / "src" / "mylab")
    assert "src has no package" in command("loss", "my_loss").sentence
    monkeypatch.setattr(own_code, "project_root", lambda: None)
    assert "is not a project: python scripts/new_project.py FOLDER creates one" in command("loss", "my_loss").sentence


@each_case(
    ("group", "name", "sentence"),
    [
        ("model", "", "NAME= must have lower-case letters, digits and single '_' between them"),
        ("model", "my-net", "NAME=my-net must have lower-case letters"),
        ("model", "3d", "such as NAME=my_net"),
        ("data", "MySet", "such as NAME=my_set"),
        ("data", "my set", "NAME=my set must have"),
        ("data", "../x", "NAME=../x must have"),
        ("model", "_net", "must have lower-case letters"),
        ("model", "netz\u00fc", "must have lower-case letters"),
        ("model", "x" * 41, "at most 40"),
        ("model", "con", "NAME=con is a device name of Windows"),
        ("model", "lambda", "NAME=lambda is a keyword of Python"),
        ("model", "null", "NAME=null is not a text for Hydra, so model=null would not work"),
        ("model", "on", "is not a text for Hydra"),
        ("model", "nan", "is not a text for Hydra"),
        ("model", "mlp", "NAME=mlp is taken: src/labbook/models/mlp.py exists"),
        ("model", "resnet18", "NAME=resnet18 is taken: configs/model/resnet18.yaml exists"),
        ("data", "digits", "NAME=digits is taken"),
        ("model", "random", "NAME=random is a module of Python"),
        ("model", "tensor", "NAME=tensor would name a class Tensor, which its file imports"),
        ("model", "image_spec", "would name a class ImageSpec"),
        ("data", "image_data_module", "would name a class ImageDataModule"),
    ],
)
def test_refusals(command: Command, group: str, name: str, sentence: str) -> None:
    ended = command(group, name)
    assert ended.code == 2
    assert sentence in ended.sentence
    assert ended.out == ""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with a network and a data set more."""
    copy = tmp_path_factory.mktemp("copy") / "labbook"
    copy.mkdir()
    for path in CHECKOUT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
        elif path.name not in (".git", ".venv", "data", "logs") and not path.name.endswith(("_cache", ".hypothesis")):
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "logs").mkdir()
    for group, name in (("model", "my_net"), ("data", "my_set"), ("loss", "my_loss"), ("callback", "my_callback")):
        run(copy, "scripts/new.py", group, name)
    return copy


def run(folder: Path, *words: str) -> str:
    env = os.environ | {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words]
    ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["model=my_net", "loss=my_loss", "callbacks=my_callback", "debug=fast"],
        ["data=my_set", "model=my_net", "epochs=1"],
    ],
)
def test_what_is_made_trains(project: Path, words: list[str]) -> None:
    assert "MyNet" in run(project, "train.py", *words)
    assert words[0].partition("=")[2] in run(project, "train.py", "--help")


@pytest.mark.slow
def test_what_is_made_passes_the_tests_that_find_it(project: Path) -> None:
    told = run(project, "-m", "pytest", "-n", "0", "-q", "-k", "my_net or my_set")
    assert int(told.split(" passed")[0].split()[-1]) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("words", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]])
def test_what_is_made_has_its_style_and_types(project: Path, words: list[str]) -> None:
    pytest.importorskip(words[0])
    run(project, "-m", *words)


@pytest.mark.slow
def test_what_is_made_breaks_no_test_that_compares_lists(project: Path) -> None:
    """Of the README, of help, of the presets and of the table of networks."""
    files = (
        "cli/test_command_line.py",
        "config/test_config_files.py",
        "docs/test_pages.py",
        "models/test_drawing.py",
        "models/test_architectures.py",
    )
    chosen = ("-k", "not train and not answers_soon")
    run(project, "-m", "pytest", "-n", "0", "-q", *(f"tests/{file}" for file in files), *chosen)

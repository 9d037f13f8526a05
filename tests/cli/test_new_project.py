"""A project of one's own, which uses Labbook as a dependency."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from labbook import installation
from labbook.cli import command_line
from labbook.cli.commands import new_project
from labbook.config import compose, search_path
from labbook.errors import missing_package_message
from labbook.runs import provenance
from tests.conftest import Command


@pytest.fixture
def command(script: Callable[[ModuleType], Command]) -> Command:
    return script(new_project)


@pytest.fixture
def ourlab(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, for which this process runs."""
    folder = tmp_path / "ourlab"
    assert command(folder).out.splitlines() == [f"made: {folder}", f"try it: cd {folder} && make train"]
    monkeypatch.setenv(installation.PROJECT_VARIABLE, str(folder))
    return folder


def test_it_is_small(ourlab: Path) -> None:
    files = [path for path in ourlab.rglob("*") if path.is_file()]
    assert len(files) <= 12
    assert sum(len(path.read_text().splitlines()) for path in files) <= 250
    shape = "train.py", "src/ourlab/models", "src/ourlab/data", "configs", "tests", "logs", "Makefile", "README.md"
    assert all((ourlab / name).exists() for name in shape)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("My Lab", "NAME=My Lab must have lower-case letters, digits"),
        ("torch", "would create a package torch, which exists already: use another name"),
        ("labbook", "would create a package labbook"),
        ("tests", "would create a package tests"),
        ("ourlab", "ourlab exists: use the name of a new folder"),
    ],
)
def test_refusals(name: str, sentence: str, command: Command, ourlab: Path) -> None:
    ended = command(ourlab.parent / name)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.sentence


def test_its_configurations_come_first_and_the_package_s_behind_them(
    ourlab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (ourlab / "configs" / "model" / "lenet5.yaml").write_text(
        "# mine\n_target_: ourlab.models.my_net.MyNet\nbias: false\n"
    )
    assert search_path.config_folders() == [ourlab / "configs", installation.CONFIGS]
    text = command_line.help_text()
    assert re.search(r"^   \* lenet5 +mine$", text, re.MULTILINE)
    assert re.search(r"^     my_net +one dense layer", text, re.MULTILINE)
    assert re.search(r"^     mlp +multilayer", text, re.MULTILINE)
    assert compose.compose_config("model=my_net", "data=my_set").data._target_ == "ourlab.data.my_set.MySet"
    own = {"_target_": "ourlab.models.my_net.MyNet", "bias": False}
    assert compose.compose_config().model == own | {"weights": None, "freeze": None}
    assert compose.compose_config("model=mlp").model._target_ == "labbook.models.mlp.MLP"


def test_elsewhere_its_configurations_are_not_there(ourlab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(installation.PROJECT_VARIABLE)
    assert search_path.config_folders() == [installation.CONFIGS]
    assert "my_net" not in command_line.help_text()


def test_its_runs_record_its_code_and_the_package_s(ourlab: Path) -> None:
    def version() -> str:
        provenance.code_version.cache_clear()
        return provenance.code_version()

    versions = [version()]
    for text in ("one", "two"):
        (ourlab / "src" / "ourlab" / "losses.py").write_text(text)
        versions.append(version())
    assert len(set(versions)) == 3
    package = versions[0].split(" project+")[0]
    assert all(found.startswith(f"{package} project+") for found in versions)
    commit = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "commit", "-qm", "a"]
    for words in (["init", "-q"], ["add", "-A"], commit):
        subprocess.run(["git", "-C", str(ourlab), *words], check=True)
    assert re.fullmatch(r"[0-9a-f]{7,}", version().split(" project+")[1])
    (ourlab / "configs" / "model" / "my_net.yaml").write_text("# other")
    assert "-dirty." in version().split(" project+")[1]
    provenance.code_version.cache_clear()


class Installed:
    """A distribution that was installed from somewhere."""

    def __init__(self, told: object) -> None:
        self.told = told

    def read_text(self, _: str) -> str | None:
        return json.dumps(self.told) if self.told else None


@pytest.mark.parametrize(
    ("told", "place", "needed"),
    [
        (None, "labbook-vision", "labbook-vision[wandb]"),
        (
            {"url": "file:///a%20b/labbook", "dir_info": {}},
            "/a b/labbook",
            "labbook-vision[wandb] @ file:///a%20b/labbook",
        ),
        (
            {"url": "https://x.org/l.git", "vcs_info": {"vcs": "git", "commit_id": "12ab"}},
            "git+https://x.org/l.git@12ab",
            "labbook-vision[wandb] @ git+https://x.org/l.git@12ab",
        ),
    ],
)
def test_an_installed_package_knows_where_it_comes_from(
    told: object, place: str, needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "CHECKOUT", None)
    monkeypatch.setattr("labbook.errors.CHECKOUT", None)
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Installed(told))
    assert installation.install_origin() == place
    assert f"LABBOOK ?= {place}\n" in new_project.project_files("ourlab")["Makefile"]
    assert missing_package_message("logger=wandb", "wandb") == f"logger=wandb is not installed: pip install '{needed}'"


@pytest.mark.slow
def test_what_is_made_in_it_trains_and_its_tests_find_it(ourlab: Path) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(installation.PACKAGE.parent)}

    def run(*words: str, **more: str) -> str:
        command = [sys.executable, *words]
        ended = subprocess.run(command, cwd=ourlab, env={**env, **more}, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    code = "import sys; sys.argv[0] = 'labbook'; from labbook.cli.commands import main; main()"
    for kind in ("model", "module", "data", "loss", "callback"):
        assert "made: src/ourlab/" in run("-c", code, "new", kind, f"my_{kind}")
    assert "7 passed" in run("-m", "pytest", "-q")
    told = run("train.py", "model=my_model", "data=my_data", "loss=my_loss", "callbacks=my_callback", "epochs=1")
    path = ourlab / told.strip().splitlines()[-1].removeprefix("run: ")
    assert "weight_norm" in (path / "metrics.csv").read_text().splitlines()[0]
    assert " project+" in json.loads((path / "metrics.json").read_text())["code_version"]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "pip sync --quiet --python .venv/bin/python --require-hashes {checkout}/requirements.lock\n"),
        (["EXTRAS=wandb"], "{checkout}/requirements.lock {checkout}/requirements-wandb.lock\n"),
        (["LABBOOK=git+https://x.org/l"], "'labbook-vision @ git+https://x.org/l' pytest"),
        (["LABBOOK=/tmp/l.whl", "EXTRAS=wandb ray"], "'labbook-vision[wandb,ray] @ /tmp/l.whl' pytest"),
        (["LABBOOK=labbook-vision==1", "EXTRAS="], "'labbook-vision==1' pytest"),
    ],
)
def test_its_environment_comes_from_where_labbook_comes_from(given: list[str], said: str, ourlab: Path) -> None:
    ended = subprocess.run(["make", "-n", "setup", *given], cwd=ourlab, capture_output=True, text=True, check=True)
    assert said.format(checkout=installation.CHECKOUT) in ended.stdout

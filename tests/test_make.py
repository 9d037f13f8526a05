"""`make setup`: which packages it installs, and what it refuses; the same without make."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from labbook import installation, setup
from labbook.errors import missing_package_message
from labbook.installation import EXTRAS

ROOT = Path(__file__).parents[1]


class Project:
    """A folder with locks, and what `make` would run there."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def make(self, *words: str) -> list[str]:
        self.started.clear()
        setup.run_command(*words)
        return [command.replace(" --quiet --python .venv/bin/python", "") for command in self.started]

    @property
    def stamp(self) -> tuple[str, list[str]]:
        found = json.loads(setup.STAMP.read_text())
        return found["torch"], found["extras"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder in which nothing is installed, on a Linux machine without a GPU that reaches PyTorch's index."""
    monkeypatch.chdir(tmp_path)
    for name in ("EXTRAS", "TORCH"):
        monkeypatch.delenv(name, raising=False)
    for path in (ROOT / "pyproject.toml", *ROOT.glob("requirements*.lock")):
        shutil.copy(path, tmp_path)
    (tmp_path / ".venv" / "Lib" / "site-packages").mkdir(parents=True)
    there = Project()
    monkeypatch.setattr(setup, "run", lambda command, _=None: there.started.append(" ".join(command)))
    monkeypatch.setattr(setup, "start", lambda command, last: there.started.append(" ".join(command)))
    monkeypatch.setattr(setup, "create_environment", lambda: None)
    monkeypatch.setattr(setup, "executable", lambda name: Path(".venv/bin", name))
    monkeypatch.setattr(setup, "reaches_cpu_builds", lambda: True)
    monkeypatch.setattr(setup, "usual_build", lambda: "cpu")
    monkeypatch.setattr(sys, "platform", "linux")
    return there


SYNC = ".venv/bin/uv pip sync"


def test_extras_are_added_and_removed_together(project: Project) -> None:
    sync = f"{SYNC} --require-hashes requirements.lock"
    assert project.make("setup", "EXTRAS=ray joblib", "TORCH=cuda") == [
        f"{sync} requirements-joblib.lock requirements-ray.lock",
        ".venv/bin/uv pip install --no-deps --no-build-isolation --editable .",
    ]
    assert project.make("train") == [".venv/bin/python train.py"]
    assert project.make("train", "EXTRAS=ray", "model=mlp") == [".venv/bin/python train.py model=mlp"]
    added = project.make("test", "EXTRAS=submitit")
    assert added[0] == f"{sync} requirements-joblib.lock requirements-ray.lock requirements-submitit.lock"
    assert added[2:] == [".venv/bin/python -m pytest"]
    assert project.make("setup", "EXTRAS=")[0] == sync
    assert project.make("lint") == [".venv/bin/ruff check .", ".venv/bin/ruff format --check .", ".venv/bin/mypy"]
    with Path("requirements.lock").open("a") as lock:
        lock.write("# another version\n")
    assert project.make("train")[0] == sync


@pytest.mark.parametrize(
    ("platform", "build", "sync"),
    [
        ("linux", "cpu", "--torch-backend cpu requirements-cpu.lock"),
        ("linux", "cuda", "--require-hashes requirements.lock"),
        ("darwin", "cpu", "--require-hashes requirements.lock"),
        ("win32", "cpu", "--require-hashes requirements.lock"),
        ("win32", "cuda", "--torch-backend auto requirements-cpu.lock"),
    ],
)
def test_each_build_of_torch_comes_from_where_it_is(
    platform: str, build: str, sync: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert project.make("setup", f"TORCH={build}", "EXTRAS=timm")[0] == f"{SYNC} {sync} requirements-timm.lock"
    assert project.stamp == (build, ["timm"])


def test_the_first_setup_takes_what_fits_the_machine_and_later_ones_keep_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.make("train")
    assert project.stamp == ("cpu", [])
    assert project.make("setup", "TORCH=cuda")[0] == f"{SYNC} --require-hashes requirements.lock"
    assert project.make("setup", "EXTRAS=timm")[0].endswith("requirements.lock requirements-timm.lock")
    monkeypatch.setattr(setup, "reaches_cpu_builds", lambda: False)
    setup.STAMP.unlink()
    capsys.readouterr()
    project.make("train")
    assert project.stamp == ("cuda", [])
    assert "PyTorch's index of CPU builds cannot be reached" in capsys.readouterr().out
    assert project.make("setup", "TORCH=cpu")[0] == f"{SYNC} --torch-backend cpu requirements-cpu.lock"


def test_a_setup_that_fails_is_done_as_before_the_next_time(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.make("setup", "TORCH=cuda", "EXTRAS=timm")

    def fail(*_: str) -> None:
        raise setup.SetupError("no network")

    with monkeypatch.context() as broken:
        broken.setattr(setup, "uv", fail)
        with pytest.raises(setup.SetupError):
            project.make("setup", "TORCH=cpu")
    assert project.make("train")[0].endswith("requirements.lock requirements-timm.lock")


def test_an_installed_torch_is_kept_and_the_rest_is_added(project: Project) -> None:
    sync = f"{SYNC} --require-hashes {Path('.venv/requirements.lock')}"
    assert project.make("setup", "TORCH=installed")[0] == sync
    names = {line.partition("==")[0] for line in Path(".venv/requirements.lock").read_text().splitlines()}
    assert "torchmetrics" in names
    assert not names & {"torch", "torchvision", "triton"}
    shown = Path(".venv/Lib/site-packages", setup.OUTER_PACKAGES)
    assert any((Path(folder) / "torch" / "__init__.py").is_file() for folder in shown.read_text().splitlines())
    project.make("setup", "TORCH=cpu")
    assert not shown.exists()


def test_an_environment_sees_the_torch_that_is_installed_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    folders = setup.outer_folders()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ".venv"], check=True)
    find = [setup.executable("python"), "-c", "from importlib.util import find_spec; print(find_spec('torch'))"]
    assert subprocess.check_output(find, text=True) == "None\n"
    setup.show_outer_packages(folders)
    assert "torch/__init__.py" in subprocess.check_output(find, text=True).replace("\\", "/")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["setup", "EXTRAS=hydra"], f"EXTRAS=hydra is not an extra; extras: {' '.join(EXTRAS)}"),
        (["train", "TORCH=rocm"], "TORCH=rocm is unknown; choices: cpu, cuda, installed"),
        (["setup", "model=mlp"], "setup takes EXTRAS=... and TORCH=..., not model=mlp"),
        (["help", "foo"], "help takes no words, not foo"),
        (["coffee"], f"coffee is not a command; commands: {', '.join(setup.COMMANDS)}"),
    ],
)
def test_what_cannot_work_is_refused(words: list[str], sentence: str, project: Project) -> None:
    with pytest.raises(setup.SetupError, match=f"^{re.escape(sentence)}$"):
        project.make(*words)
    assert not project.started


def test_a_torch_that_is_too_old_or_missing_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(setup.SetupError, match=r"^TORCH=installed: torch 2\.6\.0\+cu118 is older than 2\.11: use"):
        setup.check_versions([3, 12], ["2.6.0+cu118", "0.21"])
    monkeypatch.setattr(setup, "FIND_TORCH", "raise SystemExit(1)")
    with pytest.raises(setup.SetupError, match="has no torch and torchvision: name the Python that has them, make"):
        project.make("setup", "TORCH=installed")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_python_that_is_too_old_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    code = "import runpy, sys; sys.version_info = (3, 9, 18); runpy.run_path('scripts/make.py', run_name='__main__')"
    old.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}"\n')
    old.chmod(0o755)
    ended = subprocess.run(["make", "setup", f"PYTHON={old}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    said = f"error: Labbook needs Python 3.11.4 to 3.13, and {sys.executable} is 3.9.18: make setup PYTHON=python3.12\n"
    assert ended.stderr.startswith(said)
    for module in (installation, setup):
        ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"), feature_version=(3, 8))


def packages(lock: str) -> dict[str, str]:
    """Of a lock: the lines of each package."""
    entries = re.split(r"\n(?=\w)", (ROOT / lock).read_text(encoding="utf-8").strip())
    return {entry.partition("==")[0]: entry for entry in entries if not entry.startswith("#")}


def test_the_locks_have_each_package_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(EXTRAS) == project["optional-dependencies"].keys() - {"dev"}
    whole, cpu = packages("requirements.lock"), packages("requirements-cpu.lock")
    for_gpus = whole.keys() - cpu.keys()
    assert {"triton", "nvidia-cublas", "cuda-toolkit"} <= for_gpus
    assert not [name for name in cpu if re.match("nvidia|cuda|triton", name)]
    assert {name: entry for name, entry in cpu.items() if whole[name] != entry} == {
        name: whole[name].partition(" ")[0] for name in ("torch", "torchvision")
    }
    for extra in EXTRAS:
        assert not packages(f"requirements-{extra}.lock").items() & whole.items()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_settings_beside_args_are_refused() -> None:
    command = ["make", "-n", "train"]
    refused = subprocess.run([*command, "epochs=1", "model=mlp"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert 'settings are given in ARGS, as in make train ARGS="model=alexnet epochs=1"' in refused.stderr
    taken = [*command, "ARGS=epochs=1", "EXTRAS=timm", "TORCH=cpu", "PYTHON=python3", "NAME=x"]
    assert subprocess.run(taken, cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_all_extras_can_be_installed_together() -> None:
    versions: dict[str, set[tuple[str, ...]]] = {}
    for extra in EXTRAS:
        lock = (ROOT / f"requirements-{extra}.lock").read_text(encoding="utf-8")
        heads = re.findall(r"^([\w.-]+)==([^ \n]+)", lock, re.MULTILINE)
        for name in {name for name, _ in heads}:
            versions.setdefault(name, set()).add(tuple(version for each, version in heads if each == name))
    assert len(versions) > 100
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_what_is_not_installed_comes_with_a_command_that_works() -> None:
    assert missing_package_message("logger=wandb", "wandb").endswith(
        ": make setup EXTRAS=wandb, or pip install -e '.[wandb]'"
    )
    assert missing_package_message("logger=comet", "comet_ml") == "logger=comet is not installed: pip install comet_ml"

"""Which code a run's figures are said to come from."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labbook import __version__, origin


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout of one commit."""
    for name in ("src/labbook/origin.py", "configs/train.yaml", "logs/.gitkeep", "README.md", "train.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    commit = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "commit", "-qm", "a"]
    for words in (["init", "-q"], ["add", "-A"], commit):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    monkeypatch.setattr(origin, "__file__", str(tmp_path / "src" / "labbook" / "origin.py"))
    origin.code_version.cache_clear()
    yield tmp_path
    origin.code_version.cache_clear()


def commit_of(folder: Path) -> str:
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_an_unchanged_checkout_is_its_commit(checkout: Path) -> None:
    assert origin.code_version() == f"{__version__}+{commit_of(checkout)}"


@pytest.mark.parametrize("name", ["src/labbook/origin.py", "configs/model/mine.yaml", "train.py"])
def test_changed_and_new_code_is_told(name: str, checkout: Path) -> None:
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("other")
    assert origin.code_version() == f"{__version__}+{commit_of(checkout)}-dirty"


def test_what_makes_no_figures_may_change(checkout: Path) -> None:
    (checkout / "README.md").write_text("other")
    (checkout / "logs" / ".gitkeep").unlink()
    (checkout / "notes").write_text("mine")
    assert origin.code_version() == f"{__version__}+{commit_of(checkout)}"


def test_without_git_it_is_the_packages_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "__file__", str(tmp_path / "a" / "b" / "origin.py"))
    origin.code_version.cache_clear()
    assert origin.code_version() == __version__
    origin.code_version.cache_clear()

"""Which code a run's figures are said to come from."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labbook import __version__
from labbook.runs import provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout of one commit."""
    for name in ("src/labbook/runs/provenance.py", "configs/train.yaml", "logs/.gitkeep", "README.md", "train.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    commit = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "commit", "-qm", "a"]
    for words in (["init", "-q"], ["add", "-A"], commit):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "src" / "labbook" / "runs" / "provenance.py"))
    provenance.code_version.cache_clear()
    yield tmp_path
    provenance.code_version.cache_clear()


def commit_of(folder: Path) -> str:
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_an_unchanged_checkout_is_its_commit(checkout: Path) -> None:
    assert provenance.code_version() == f"{__version__}+{commit_of(checkout)}"


def version_now() -> str:
    """The version that a new process would have."""
    provenance.code_version.cache_clear()
    return provenance.code_version()


@pytest.mark.parametrize(
    "name",
    [
        "src/labbook/runs/provenance.py",
        "src/mylab/deep/losses.py",
        "configs/model/mine.yaml",
        "train.py",
        "requirements.lock",
    ],
)
def test_each_state_of_changed_code_has_a_version(name: str, checkout: Path) -> None:
    clean = version_now()
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    found = []
    for text in ("one", "two", "one"):
        (checkout / name).write_text(text)
        found.append(version_now())
    assert found[0] == found[2] != found[1]
    assert all(re.fullmatch(rf"{re.escape(clean)}-dirty\.[0-9a-f]{{8}}", version) for version in found)


def test_deleted_and_linked_code_is_a_change(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    versions = {version_now()}
    (checkout / "train.py").unlink()
    versions.add(version_now())
    mine = tmp_path_factory.mktemp("mylab")
    (mine / "loss.py").write_text("one")
    (checkout / "src" / "mylab").symlink_to(mine)
    versions.add(version_now())
    (mine / "loss.py").write_text("two")
    versions.add(version_now())
    assert len(versions) == 4


def test_what_makes_no_figures_may_change(checkout: Path) -> None:
    (checkout / "README.md").write_text("other")
    (checkout / "logs" / ".gitkeep").unlink()
    (checkout / "notes").write_text("mine")
    assert provenance.code_version() == f"{__version__}+{commit_of(checkout)}"


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    "package", ["src/labbook", "site-packages/labbook"]
)  # without git; installed within a checkout
def test_without_a_checkout_it_is_a_digest_of_the_code(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package.startswith("src"):
        shutil.rmtree(tmp_path / ".git")
    folder = tmp_path / package
    monkeypatch.setattr(provenance, "__file__", str(folder / "runs" / "provenance.py"))
    (folder / "models").mkdir(parents=True)
    found = []
    for text in ("one", "two", "one"):
        (folder / "models" / "loss.py").write_text(text)
        found.append(version_now())
    assert found[0] == found[2] != found[1]
    assert all(re.fullmatch(rf"{re.escape(__version__)}\+[0-9a-f]{{8}}", version) for version in found)

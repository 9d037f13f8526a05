"""`scripts/cache.py` lists and deletes decoded images."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from labbook.cli.commands import cache
from labbook.data.decoding import Decoding
from labbook.data.image_cache import Labelled, cached_images
from tests.conftest import Command
from tests.data.samples import photograph


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches: of a whole folder, of a folder in which an image changed, of a folder that is gone; and half of one."""
    monkeypatch.chdir(tmp_path)
    for name in ("whole", "changed", "gone"):
        paths = [photograph(tmp_path / name / f"{n}.png") for n in range(3)]
        paths[0].unlink()
        paths[0].symlink_to("nowhere")  # which a run leaves out
        files = [Labelled(path, 0) for path in paths]
        cached_images(files, Decoding(8, 3), tmp_path / "data/cache", "images")
    photograph(tmp_path / "changed" / "1.png", (1, 2, 3))
    shutil.rmtree(tmp_path / "gone")
    (tmp_path / "data/cache/half.pixels").write_bytes(b"?" * 5000)
    return tmp_path / "data/cache"


@pytest.fixture
def command(script: Callable[[ModuleType], Command]) -> Command:
    return script(cache)


def test_caches_are_listed_and_old_ones_deleted(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("labbook.console.WIDTH", 400)
    ended = command()
    code, shown = ended.code, ended.out + ended.err
    assert code == 0
    states = {line.split()[-1]: line.split()[-2] for line in shown.splitlines() if str(tmp_path) in line}
    assert states == {
        str(tmp_path / "whole"): "current",
        str(tmp_path / "changed"): "old",
        str(tmp_path / "gone"): "old",
    }
    assert shown.endswith("data/cache: 0.0 MB, 0.0 MB of it old\n")
    ended = command("data/cache", "--remove", "old")
    code, shown = ended.code, ended.out + ended.err
    assert (code, shown) == (0, "deleted: 3 of 4 caches, 0.0 MB\n")
    (kept,) = folder.glob("*.pixels")
    assert {path.stem for path in folder.iterdir()} == {kept.stem}
    ended = command("--remove", kept.stem)
    code, shown = ended.code, ended.out + ended.err
    assert (code, list(folder.iterdir())) == (0, [])


def test_what_cannot_be_deleted_is_an_error(folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = command("--remove", "odl")
    code, shown = ended.code, ended.out + ended.err
    assert (code, len(list(folder.glob("*.pixels")))) == (2, 4)
    assert shown.startswith("error: --remove odl: choose old, all or the name of a cache in data/cache (")
    ended = command("nowhere")
    code, shown = ended.code, ended.out + ended.err
    assert (code, shown) == (2, "error: nowhere is not a folder: name the data.cache_dir of your runs\n")


def test_the_file_of_a_killed_run_is_listed_and_old_after_an_hour(folder: Path, command: Command) -> None:
    dead, alive = (folder / f".{key}.pixels.{key}-0.partial" for key in ("11", "22"))
    for path in (dead, alive):
        path.write_bytes(b"?" * 2_000_000)
    os.utime(dead, (time.time() - 4000,) * 2)
    shown = command().out
    states = {line.split()[0]: line.split()[-1] for line in shown.splitlines() if ".pixels." in line}
    assert states == {dead.stem: "old", alive.stem: "incomplete"}
    assert command("--remove", "all").code == 0
    assert list(folder.iterdir()) == [alive]
    assert command("--remove", alive.stem).code == 0
    assert not alive.exists()

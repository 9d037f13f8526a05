"""Traps that spring when anything hostile is run, imported or written to."""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from labbook.cli.commands import evaluate
from tests.composing import composed
from tests.conftest import Command, Ended

BAIT = "labbook_bait"  # a module that may never be imported
QUICK = ("model=mlp", "data.limit=64", "trainer.precision=32", "callbacks=none", "logger=none", "epochs=1")


def mostly_slow(names: Iterable[str], every: int) -> list[Any]:
    """Parameters of which one in `every` is tried in the quick tests, the others in the slow ones."""
    return [pytest.param(name, marks=[pytest.mark.slow] if index % every else []) for index, name in enumerate(names)]


class Traps:
    """What has to be as it was: a canary file, a module that leaves a mark, and all there is beside the folder."""

    def __init__(self, home: Path) -> None:
        self.home, self.canary = home, home / "canary"
        (home / "bait").mkdir()
        (home / "bait" / f"{BAIT}.py").write_text(f"import pathlib\npathlib.Path({str(self.canary)!r}).touch()\n")
        self.outside = self._outside()

    def _outside(self) -> set[Path]:
        return set(self.home.parent.glob("*"))

    def check(self) -> None:
        """Nothing was run, imported or written outside of the folder."""
        assert not self.canary.exists()
        assert BAIT not in sys.modules
        assert self._outside() == self.outside


@pytest.fixture
def traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traps]:
    """Set, and looked after when the test ends."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(home / "bait")
    set_up = Traps(home)
    yield set_up
    set_up.check()


@pytest.fixture
def program(labbook: Command, traps: Traps, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`python train.py ARGUMENTS` among the traps."""
    monkeypatch.chdir(traps.home)
    return labbook


@pytest.fixture
def evaluated(traps: Traps, script: Callable[[ModuleType], Command]) -> Command:
    """`python scripts/evaluate.py ARGUMENTS` among the traps."""
    return script(evaluate)


@pytest.fixture(scope="session")
def plain() -> dict[str, Any]:
    """The configuration of a small run, as config.yaml holds it."""
    tree = composed(*QUICK)
    tree.config_groups = {"model": "mlp", "data": "digits"}
    found: Any = OmegaConf.to_container(tree, resolve=True)
    return {key: value for key, value in found.items() if key not in ("sweep", "seeds")}


@pytest.fixture
def stranger(traps: Traps, plain: dict[str, Any]) -> Callable[..., Path]:
    """A run folder from somewhere, with a configuration and checkpoints that are no good yet."""

    def made(text: str | None = None, /, **changes: Any) -> Path:
        folder = traps.home / "stranger"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "checkpoints").mkdir(parents=True)
        content = {**plain, **changes}
        (folder / "config.yaml").write_text(yaml.safe_dump(content) if text is None else text)
        for name in ("last", "best"):
            torch.save({"state_dict": {}, "epoch": 0}, folder / "checkpoints" / f"{name}.ckpt")
        return folder

    return made


def refused(ended: Ended, *parts: str) -> str:
    """The sentence of a refusal that left nothing behind."""
    assert ended.code == 2, ended.out + ended.err
    assert "Traceback" not in ended.out + ended.err
    assert len(ended.sentence) < 1000
    for part in parts:
        assert part in ended.sentence
    assert not Path("logs").exists() or not list(Path("logs").rglob("config.yaml"))
    return ended.sentence

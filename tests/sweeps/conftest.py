"""What the tests of sweeps share."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.sweeps.running import TINY, WIDTHS, Figures, done, figures_of


@pytest.fixture(autouse=True)
def _undrawn(undrawn: None) -> None:
    """Nothing is drawn."""


@pytest.fixture(scope="session")
def known() -> dict[tuple[str, ...], Figures]:
    """What the sweeps below came to, by their arguments."""
    return {}


@pytest.fixture
def undisturbed(labbook: Command, known: dict[tuple[str, ...], Figures]) -> Callable[..., Figures]:
    """The figures of a sweep that nothing stops, which is done once for all tests."""

    def figures(*arguments: str) -> Figures:
        if arguments not in known:
            known[arguments] = figures_of(done(labbook(*arguments, "log_dir=undisturbed")))
        return known[arguments]

    return figures


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sweep below lies for the tests that come later."""
    return tmp_path_factory.mktemp("finished") / "logs"


@pytest.fixture
def finished(labbook: Command, kept: Path) -> Path:
    """The folder of a sweep over `WIDTHS` that is done."""
    if kept.exists():
        shutil.copytree(kept, "logs")
    else:
        done(labbook(*TINY, WIDTHS))
        shutil.copytree("logs", kept)
    (sweep,) = Path("logs/sweeps").iterdir()
    return sweep

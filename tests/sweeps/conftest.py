"""What the tests of sweeps share."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.sweeps.running import TINY, WIDTHS, done


@pytest.fixture
def drawn() -> None:
    """Asked for by a test that wants the page of the report as it is."""


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest) -> None:
    """Nothing is drawn for any other."""
    if "drawn" not in request.fixturenames:
        request.getfixturevalue("undrawn")


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

"""The program in the project of a user's own, which is this folder: its package `mylab`, and its configurations."""

from pathlib import Path

import pytest

from labbook.installation import PROJECT_VARIABLE
from tests.conftest import Command, Ended
from tests.data.samples import album

PROJECT = Path(__file__).parent


@pytest.fixture
def mylab(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`python train.py ARGUMENTS` in the project, on a CPU."""
    monkeypatch.setenv(PROJECT_VARIABLE, str(PROJECT))

    def command(*arguments: str) -> Ended:
        return labbook(f"--config-dir={PROJECT / 'configs'}", "trainer=cpu", "trainer.precision=32", *arguments)

    return command


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """The folder that `data=photographs` and `data=two_views` read by default, with a few images."""
    return album(tmp_path / "data" / "photographs", {"train": 12, "val": 4, "test": 4})

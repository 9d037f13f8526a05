"""The program, with the package `tests.own.mylab` of a user's own."""

from pathlib import Path

import pytest

from tests.conftest import Command, Ended

CONFIGS = Path(__file__).parent / "configs"
OWN = "tests.own.mylab.*"


@pytest.fixture
def mylab(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`python train.py --config-dir=tests/own/configs ARGUMENTS` in this process."""
    from labbook import building

    monkeypatch.setattr(building, "EXECUTION_WHITELIST", (*building.EXECUTION_WHITELIST, OWN))

    def command(*arguments: str) -> Ended:
        return labbook(f"--config-dir={CONFIGS}", "trainer=cpu", "trainer.precision=32", *arguments)

    return command

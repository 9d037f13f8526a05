"""The program, with the package `tests.own.mylab` of a user's own."""

from pathlib import Path

import pytest

from tests.conftest import Command, Ended

CONFIGS = Path(__file__).parent / "configs"
OWN = "tests.own.mylab.*"


@pytest.fixture
def mylab(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`python train.py --config-dir=tests/own/configs ARGUMENTS` in this process."""
    from labbook import building, own_code

    allowed = (*own_code.allowed_targets(), OWN)
    monkeypatch.setattr(building, "allowed_targets", lambda: allowed)

    def command(*arguments: str) -> Ended:
        return labbook(f"--config-dir={CONFIGS}", "trainer=cpu", "trainer.precision=32", *arguments)

    return command

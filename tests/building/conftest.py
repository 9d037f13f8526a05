"""The whitelist, with what nodes of the tests name."""

import pytest

from labbook import building, config
from tests.building import things


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "EXECUTION_WHITELIST", (*config.EXECUTION_WHITELIST, f"{things.__name__}.*"))

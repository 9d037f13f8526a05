"""The whitelist, with what nodes of the tests name."""

import pytest

from labbook.config import instantiate, own_code
from tests.building import things


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = (*own_code.allowed_targets(), f"{things.__name__}.*")
    monkeypatch.setattr(instantiate, "allowed_targets", lambda: allowed)

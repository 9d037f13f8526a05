"""What the tests of sweeps share."""

import pytest

from labbook.report import page


@pytest.fixture
def drawn() -> None:
    """Asked for by a test that wants the page of the report as it is."""


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures of the report take longer than the runs, and have tests of their own."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(page, "html", lambda _: "")

"""What the tests of reports share."""

import pytest

from labbook.reports import images


@pytest.fixture
def page_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the PNG files beside the page, which take longer than it."""
    monkeypatch.setattr(images, "write_images", lambda *_: None)

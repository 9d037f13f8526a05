"""Fixtures that tests of drawing share."""

from tests.models.conftest import small as small

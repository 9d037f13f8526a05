"""Fixtures that tests of drawing share."""

from tests.zoo.conftest import small as small

"""Fixtures that the tests of the tools share."""

import pytest

from labbook.config import schema
from labbook.sweeps import grid_sweeper
from tests.models.conftest import small as small
from tools.benchmark.cases import Case, case


@pytest.fixture
def tiny() -> Case:
    schema.register_schema()
    grid_sweeper.register_sweepers()
    return case("tiny", "mlp", 8, 8, 1, 3, 10, "model.width=4")

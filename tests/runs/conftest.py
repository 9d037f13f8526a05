"""What the tests of runs share."""

import pytest
from omegaconf import DictConfig, open_dict

from tests.composing import composed


@pytest.fixture
def config() -> DictConfig:
    """The default configuration, as a run records it."""
    tree = composed()
    with open_dict(tree):
        tree.config_groups = {"model": "lenet5", "data": "digits"}
    return tree

"""All private names of Hydra's Optuna plugin that the package uses; tests/sweeps/test_search.py checks them."""

from hydra.core.override_parser.types import Override
from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override
from optuna.distributions import BaseDistribution


def distribution_from(override: Override) -> BaseDistribution:
    """The distribution of an override such as `optimizer.lr=interval(0.1,1)`.

    Raises:
        TypeError, ValueError, AssertionError, NotImplementedError: it has none.
    """
    found = create_optuna_distribution_from_override(override)
    assert isinstance(found, BaseDistribution)
    return found

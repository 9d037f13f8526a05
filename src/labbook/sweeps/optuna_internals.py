"""All that is used of Hydra's Optuna plugin beyond its public names; tests/sweeps/test_search.py holds it."""

from hydra.core.override_parser.types import Override
from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override
from optuna.distributions import BaseDistribution


def distribution_from(override: Override) -> BaseDistribution:
    """The distribution that an override such as `optimizer.lr=interval(0.1,1)` is drawn from.

    Raises:
        TypeError, ValueError, AssertionError, NotImplementedError: nothing can be drawn from it.
    """
    found = create_optuna_distribution_from_override(override)
    assert isinstance(found, BaseDistribution)
    return found

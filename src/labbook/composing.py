"""The configuration that a command line gives, for programs beside train.py. Imports no torch."""

import hydra
import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from labbook import config, foreign, refusals, search_path, secrecy
from labbook.arguments import as_meant
from labbook.errors import SettingError


def register() -> None:
    """Make the schema and what guards files of settings known to Hydra."""
    config.register()
    foreign.register(search_path.folders())
    search_path.register()
    secrecy.register()


def composed(*settings: str) -> DictConfig:
    """What train.py would be configured with by these settings, checked as far as that takes no torch.

    Raises:
        SettingError: a setting that is none, a choice that is none, or a value out of range.
    """
    register()
    settings = tuple(as_meant(settings))
    refusals.lists(list(settings))
    try:
        with hydra.initialize_config_dir(str(foreign.CONFIGS)):
            whole = hydra.compose("train", overrides=list(settings), return_hydra_config=True)
            chosen = config.chosen_by(whole.hydra)
            whole = config.with_loggers(whole, chosen.get("logger"))
    except (HydraException, OmegaConfBaseException) as error:
        raise SettingError(refusals.explain(error, list(settings))) from error
    except (yaml.YAMLError, RuntimeError, TypeError, ValueError) as error:
        if (sentence := refusals.of_hydra(error, list(settings))) is None:
            raise
        raise SettingError(sentence) from error
    with open_dict(whole):
        del whole["hydra"]
        whole.choices = {group: chosen[group] for group in config.GROUPS if group in chosen}
    config.check_names(whole)
    config.check_root(whole)
    return whole

"""The configuration that a command line gives, for programs beside train.py. Imports no torch."""

import hydra
import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from labbook.config import hydra_errors, schema, search_path, secrets, untrusted
from labbook.config.arguments import as_meant
from labbook.errors import SettingError


def register() -> None:
    """Make the schema and what guards files of settings known to Hydra."""
    schema.register()
    untrusted.register(search_path.folders())
    search_path.register()
    secrets.register()


def composed(*settings: str) -> DictConfig:
    """What train.py would be configured with by these settings, checked as far as that takes no torch.

    Raises:
        SettingError: a setting that is none, a choice that is none, or a value out of range.
    """
    register()
    settings = tuple(as_meant(settings))
    hydra_errors.lists(list(settings))
    try:
        with hydra.initialize_config_dir(str(untrusted.CONFIGS)):
            whole = hydra.compose("train", overrides=list(settings), return_hydra_config=True)
            chosen = schema.chosen_by(whole.hydra)
            whole = schema.with_loggers(whole, chosen.get("logger"))
    except (HydraException, OmegaConfBaseException) as error:
        raise SettingError(hydra_errors.explain(error, list(settings))) from error
    except (yaml.YAMLError, RuntimeError, TypeError, ValueError) as error:
        if (sentence := hydra_errors.of_hydra(error, list(settings))) is None:
            raise
        raise SettingError(sentence) from error
    with open_dict(whole):
        del whole["hydra"]
        whole.choices = {group: chosen[group] for group in schema.GROUPS if group in chosen}
    schema.check_names(whole)
    schema.check_root(whole)
    return whole

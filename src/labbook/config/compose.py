"""The configuration of a command line, for programs other than train.py. Imports no torch."""

import hydra
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, open_dict

from labbook.config import argument_checks, hydra_errors, job_config, schema, search_path, secrets, untrusted
from labbook.config.arguments import normalize_overrides
from labbook.installation import CONFIGS


def register_with_hydra() -> None:
    """Register the schema and the check of settings files with Hydra."""
    schema.register_schema()
    untrusted.register_config_source(search_path.config_folders())
    Plugins.instance().register(search_path.ProjectConfigs)
    secrets.register_environment_resolver()


def compose_config(*settings: str) -> DictConfig:
    """The configuration of train.py with these overrides, checked as far as possible without torch."""
    register_with_hydra()
    settings = tuple(normalize_overrides(settings))
    argument_checks.check_single_choices(list(settings))
    with hydra_errors.explained_to_user(list(settings)), hydra.initialize_config_dir(str(CONFIGS)):
        whole = hydra.compose("train", overrides=list(settings), return_hydra_config=True)
        chosen = job_config.chosen_groups(whole.hydra)
        chosen.pop(schema.PAIRS, None)
        whole = job_config.with_group_choices(whole, chosen)
    with open_dict(whole):
        del whole["hydra"]
    job_config.check_root_names(whole)
    schema.check_root(whole)
    return whole

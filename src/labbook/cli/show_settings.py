"""`--cfg`: print the settings, or a part of them, of a run that is resumed too. Imports no torch."""

import hydra
from omegaconf import DictConfig, OmegaConf

from labbook.config import compose, known_settings
from labbook.config import schema as settings
from labbook.config.unknown_keys import is_setting, unknown_setting_message
from labbook.errors import SettingError
from labbook.installation import CONFIGS
from labbook.runs.resume import with_overrides


def show_settings(arguments: list[str]) -> bool:
    """Print what `--cfg` asks for if Hydra cannot: the settings of a resumed run, or a null. Returns whether it did."""
    given, rest = known_settings.hydra_options(arguments)
    package = given.package if given.package != "_global_" else ""
    if given.cfg is None:
        if given.package or given.resolve:
            option = f"-p {given.package}" if given.package else "--resolve"
            raise SettingError(f"{option} needs --cfg job: add --cfg job, or leave it out")
        return False
    overrides = [item for item in rest if "=" in item and not item.startswith("-")]
    resumed = given.cfg == "job" and any(item.startswith("resume=") for item in overrides)
    if not resumed and not package:
        return False
    also = [f"hydra.searchpath=[{given.config_dir.absolute()}]"] if given.config_dir else []
    config = requested_settings(overrides, also, given.cfg, resumed)
    if package and not is_setting(package, config):
        raise SettingError(f"-p {package}: {unknown_setting_message(package, config)}")
    node = OmegaConf.select(config, package, throw_on_missing=False)
    if not resumed and node is not None:
        return False
    if OmegaConf.is_config(node):
        print(OmegaConf.to_yaml(node, resolve=given.resolve).rstrip(), flush=True)
    else:
        print("null" if node is None else node, flush=True)
    return True


def requested_settings(overrides: list[str], also: list[str], kind: str, resumed: bool) -> DictConfig:
    """The settings of a resumed run; or those of a new run, of Hydra, or all, unchecked."""
    begun = compose.compose_config(*overrides, *also) if resumed else None
    with hydra.initialize_config_dir(str(CONFIGS)):
        if begun is not None:
            return with_overrides(begun, overrides, settings.GROUPS)
        whole = hydra.compose("train", overrides=[*overrides, *also], return_hydra_config=kind != "job")
    return OmegaConf.masked_copy(whole, ["hydra"]) if kind == "hydra" else whole

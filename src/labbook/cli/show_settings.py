"""`--cfg`: print the settings, or a part of them, of a run that is resumed too. Imports no torch."""

import argparse

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
    given, rest = cfg_options(arguments)
    if given.cfg is None:
        if given.package or given.resolve:
            option = f"-p {given.package}" if given.package else "--resolve"
            raise SettingError(f"{option} needs --cfg job: add --cfg job, or leave it out")
        return False
    overrides = [item for item in rest if "=" in item and not item.startswith("-")]
    resumed = given.cfg == "job" and any(item.startswith("resume=") for item in overrides)
    if not resumed and not given.package:
        return False
    also = [f"hydra.searchpath=[{folder.absolute()}]" for folder in known_settings.config_dir_folders(arguments)]
    config = (
        settings_of_resumed_run(overrides, also) if resumed else settings_of_new_run([*overrides, *also], given.cfg)
    )
    if given.package and not is_setting(given.package, config):
        raise SettingError(f"-p {given.package}: {unknown_setting_message(given.package, config)}")
    node = OmegaConf.select(config, given.package, throw_on_missing=False)
    if not resumed and node is not None:
        return False
    if OmegaConf.is_config(node):
        print(OmegaConf.to_yaml(node, resolve=given.resolve).rstrip(), flush=True)
    else:
        print("null" if node is None else node, flush=True)
    return True


def cfg_options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options that `--cfg` goes with, as Hydra reads them, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--config-dir", "-cd")  # otherwise -cd would match -c
    parser.add_argument("--package", "-p", default="")
    parser.add_argument("--resolve", action="store_true")
    try:
        given, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise SettingError(str(error).removeprefix("argument ")) from error
    if given.package == "_global_":
        given.package = ""
    return given, rest


def settings_of_resumed_run(overrides: list[str], also: list[str]) -> DictConfig:
    config = compose.compose_config(*overrides, *also)
    with hydra.initialize_config_dir(str(CONFIGS)):
        return with_overrides(config, overrides, settings.GROUPS)


def settings_of_new_run(overrides: list[str], kind: str) -> DictConfig:
    """The settings of a new run, those of Hydra, or all, unchecked."""
    with hydra.initialize_config_dir(str(CONFIGS)):
        whole = hydra.compose("train", overrides=overrides, return_hydra_config=kind != "job")
    return OmegaConf.masked_copy(whole, ["hydra"]) if kind == "hydra" else whole

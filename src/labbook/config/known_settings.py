"""The configuration of some choices, to look up valid settings. Imports no torch."""

import argparse
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from labbook.config import schema as settings
from labbook.config import search_path
from labbook.config.untrusted import CONFIGS


def folders_for_arguments(arguments: list[str]) -> list[Path]:
    """The folders of group files: those of the program, and that of `--config-dir`."""
    return [*search_path.config_folders(), *config_dir_folders(arguments)]


def config_dir_folders(arguments: list[str]) -> list[Path]:
    """The folder of `--config-dir`, if it is given."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--cfg", "-c")  # otherwise -c would match the start of -cd
    parser.add_argument("--config-dir", "-cd", type=Path)
    folder = parser.parse_known_args(arguments)[0].config_dir
    return [folder] if folder else []


def known_settings(arguments: list[str]) -> DictConfig:
    """The configuration of the group choices in `arguments`, to look up valid keys.

    Without the choices of `FILES` if their files have errors.
    """
    chosen = [
        item for item in arguments if item.partition("=")[0] in settings.GROUPS and ("," not in item or "=[" in item)
    ]
    paths = [str(folder.absolute()) for folder in config_dir_folders(arguments)]
    paths += [item.partition("=")[2].strip("[]") for item in arguments if item.startswith("hydra.searchpath=[")]
    also = [f"hydra.searchpath=[{','.join(paths)}]"] if paths else []
    plain = [item for item in chosen if item.partition("=")[0] not in settings.FILES]
    with hydra.initialize_config_dir(str(CONFIGS)):
        try:
            return hydra.compose("train", overrides=[*chosen, *also])
        except (HydraException, OmegaConfBaseException):
            return hydra.compose("train", overrides=[*plain, *also])

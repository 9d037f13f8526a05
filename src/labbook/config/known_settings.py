"""The configuration of some choices, to look up valid settings. Imports no torch."""

import argparse
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from labbook.config import schema as settings
from labbook.config import search_path
from labbook.config.arguments import choice_files
from labbook.errors import SettingError
from labbook.installation import CONFIGS


def folders_for_arguments(arguments: list[str]) -> list[Path]:
    """The folders of group files: those of the program, and that of `--config-dir`."""
    return [*search_path.config_folders(), *config_dir_folders(arguments)]


def config_dir_folders(arguments: list[str]) -> list[Path]:
    folder = hydra_options(arguments)[0].config_dir
    return [folder] if folder else []


def hydra_options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """`--config-dir`, `--cfg` and the options that it goes with, as Hydra reads them, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--config-dir", "-cd", type=Path)
    parser.add_argument("--package", "-p", default="")
    parser.add_argument("--resolve", action="store_true")
    try:
        return parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise SettingError(str(error).removeprefix("argument ")) from error


def known_settings(arguments: list[str]) -> DictConfig:
    """The configuration of the group choices in `arguments`, to look up valid keys.

    Without the choices of `FILES` if their files have errors.
    """
    groups = [item for item in arguments if item.partition("=")[0] in settings.GROUPS]
    chosen = [item for item in groups if ("," not in item or "=[" in item) and "={" not in item]
    paths = [str(folder.absolute()) for folder in config_dir_folders(arguments)]
    paths += [item.partition("=")[2].strip("[]") for item in arguments if item.startswith("hydra.searchpath=[")]
    also = [f"hydra.searchpath=[{','.join(paths)}]"] if paths else []
    plain = [item for item in chosen if item.partition("=")[0] in settings.NODES]
    with hydra.initialize_config_dir(str(CONFIGS)):
        try:
            return hydra.compose("train", overrides=[*chosen, *also])
        except (HydraException, OmegaConfBaseException):
            return hydra.compose("train", overrides=[*plain, *also])


def choices_with_setting(name: str) -> list[str]:
    """The choices of a setting's group that have it."""
    group, _, inside = name.partition(".")
    key = inside.partition(".")[0]
    if group not in settings.NODES or not key:
        return []
    return [path.stem for path in choice_files(group) if key in keys_in_file(path)]


def keys_in_file(path: Path, seen: frozenset[Path] = frozenset()) -> set[str]:
    """The settings in a file of `configs/` and in its defaults; none if it cannot be read."""
    if path in seen:
        return set()
    keys = set(content := read_yaml(path)) - {"defaults"}
    for name in (item.partition("@")[0] for item in content.get("defaults") or [] if isinstance(item, str)):
        for folder in search_path.config_folders() if name.startswith("/") else [path.parent]:
            keys |= keys_in_file(folder / f"{name.lstrip('/')}.yaml", seen | {path})
    return keys


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; empty if there is none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def swept_by_preset(preset: str) -> dict[str, str]:
    """What a sweep's preset varies: setting and values; empty if there is no such file."""
    content = next((read_yaml(path) for path in choice_files("sweep") if path.stem == preset), {})
    params = OmegaConf.select(OmegaConf.create(content), "hydra.sweeper.params") or {}
    return {str(key): str(value) for key, value in params.items()}

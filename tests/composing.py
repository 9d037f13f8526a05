"""What Hydra makes of the files in configs/: composed once for all tests of a process."""

import copy
from functools import cache
from typing import Any

import hydra
import yaml
from omegaconf import DictConfig, open_dict

from labbook.config import schema
from labbook.experiment import model_settings
from labbook.installation import CONFIGS


@cache
def with_hydra(*overrides: str) -> DictConfig:
    """The configuration and Hydra's own; not to be changed."""
    schema.register_schema()
    with hydra.initialize_config_dir(str(CONFIGS)):
        return hydra.compose("train", overrides=list(overrides), return_hydra_config=True)


@cache
def without_hydra(*overrides: str) -> DictConfig:
    tree = copy.deepcopy(with_hydra(*overrides))
    with open_dict(tree):
        del tree["hydra"]
    return tree


def composed(*overrides: str) -> DictConfig:
    """The configuration, to do with as one likes."""
    return copy.deepcopy(without_hydra(*overrides))


def chosen(*overrides: str) -> dict[str, str]:
    """What was chosen of each group."""
    return dict(with_hydra(*overrides).hydra.runtime.choices)


def run_of(*overrides: str) -> DictConfig:
    """The configuration of a run, as the program records it."""
    tree, choices = composed(*overrides), chosen(*overrides)
    with open_dict(tree):
        tree.config_groups = {group: choices[group] for group in schema.GROUPS if choices.get(group)}
    return tree


def node(model: str) -> DictConfig:
    """The arguments of a network's class."""
    return model_settings(without_hydra(f"model={model}"))[0]


def file(name: str) -> dict[str, Any]:
    """A file of configs/ as it is written."""
    content: dict[str, Any] = yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))
    return content


BY_NAME = ("timm",)  # networks of an extra, with tests of their own
MODELS = {
    path.stem: file(f"model/{path.stem}.yaml")
    for path in sorted((CONFIGS / "model").glob("*.yaml"))
    if path.stem not in BY_NAME
}
TORCHVISION = "/base/torchvision@_here_"
OF_TORCHVISION = {name: own["name"] for name, own in MODELS.items() if TORCHVISION in own.get("defaults", [])}
OWN = [name for name in MODELS if name not in OF_TORCHVISION]

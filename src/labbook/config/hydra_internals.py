"""All private names of Hydra and OmegaConf that the package uses; tests/config/test_hydra_internals.py checks them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource as FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_loader import ConfigLoader
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from omegaconf import DictConfig


def replace_file_source(kind: type[FileConfigSource]) -> None:
    """Make Hydra read all files with this class.

    A stranger's files cannot be checked before Hydra composes. Which files it reads follows from the defaults lists and
    search paths that it finds in them. To check whole folders would refuse unrelated files.
    """
    Plugins.instance()  # registers Hydra's own
    SourcesRegistry.instance().types[kind.scheme()] = kind


def file_of(source: FileConfigSource, config_path: str) -> Path:
    """The file that Hydra reads for a name such as `model/mlp`."""
    return Path(source.path) / source._normalize_file_name(config_path)


def node_of(config: DictConfig, name: str) -> Any:
    """A node of a configuration, unresolved, so that a broken interpolation is no error."""
    return config._get_node(name)


def failure_of(result: JobReturn) -> Any:
    """The exception that ended a job; `return_value` would print and raise it."""
    return result._return_value


def complete(loader: ConfigLoader, config_name: str, line: str) -> Iterable[str]:
    """Hydra's proposals for the last word of a command line."""
    from hydra._internal.core_plugins.fish_completion import FishCompletion

    return FishCompletion(loader)._query(config_name, line)

"""Keeps what Hydra reads and composes from test to test: most of the time of a short program is this work.

Nothing is kept across a change of a file, of the folders that are searched or of the choices; settings of the command
line are applied each time. Every result is a copy of its own.
"""

import copy
import os
import pickle
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra._internal.defaults_list import Overrides
from hydra.plugins.config_source import ConfigSource
from omegaconf import DictConfig, ListConfig, Node

STAMP = tuple[int, int, int]
kept: dict[Any, bytes] = {}


def stamp(file: str) -> STAMP | None:
    """What changes with a file's content; None where there is no file."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def stamps(folder: str) -> Iterator[tuple[str, STAMP]]:
    """Those of all files of settings in a folder and below."""
    for entry in os.scandir(folder) if Path(folder).is_dir() else ():
        if entry.is_dir():
            yield from stamps(entry.path)
        elif entry.name.endswith((".yaml", ".yml")):
            found = entry.stat()
            yield entry.path, (found.st_ino, found.st_size, found.st_mtime_ns)


def sources(repo: Any) -> list[tuple[str, str, str]]:
    """Where Hydra looks, in order."""
    return [(type(source).__name__, source.provider, source.path) for source in repo.get_sources()]


def once(key: Any, make: Callable[[], Any]) -> Any:
    """A copy of what was made with this key."""
    if key not in kept:
        made = make()
        kept[key] = pickle.dumps(made, pickle.HIGHEST_PROTOCOL)
        return made
    return pickle.loads(kept[key])


def install() -> None:
    """Keep it from now on, in this process."""
    read, read_packaged = FileConfigSource.load_config, ImportlibResourcesConfigSource.load_config
    put_together = ConfigLoaderImpl._compose_config_from_defaults_list
    make_list = config_loader_impl.create_defaults_list

    def read_once(self: FileConfigSource, config_path: str) -> Any:
        file = str(Path(self.path, self._normalize_file_name(config_path)).resolve())
        return once((file, stamp(file), self.path, self.provider), lambda: read(self, config_path))

    def read_packaged_once(self: ConfigSource, config_path: str) -> Any:
        return once((self.path, self.provider, config_path), lambda: read_packaged(self, config_path))

    def make_list_once(repo: Any, config_name: str | None, overrides_list: list[Any], **options: bool) -> Any:
        """The list of files, which choices decide and values of settings do not."""
        values = Overrides(repo, overrides_list).config_overrides
        choices = [item for item in overrides_list if not any(item is value for value in values)]
        places = sources(repo)
        files = [list(stamps(path)) for kind, _, path in places if kind == FileConfigSource.__name__]
        key = repr((places, files, config_name, [item.input_line for item in choices], options))
        found = once(key, lambda: make_list(repo, config_name, choices, **options))
        return replace(found, config_overrides=values)

    def put_together_once(self: ConfigLoaderImpl, defaults: list[Any], repo: Any) -> Any:
        places = sources(repo)
        files = [
            stamp(f"{path}/{chosen.config_path}.yaml")
            for chosen in defaults
            for kind, _, path in places
            if kind == FileConfigSource.__name__
        ]
        chosen = [(item.config_path, item.package, item.parent, item.is_self, item.primary) for item in defaults]
        key = repr((places, files, chosen, os.environ.get("HOME")))
        return once(key, lambda: put_together(self, defaults, repo))

    for owner, name, function in (
        (FileConfigSource, "load_config", read_once),
        (ImportlibResourcesConfigSource, "load_config", read_packaged_once),
        (config_loader_impl, "create_defaults_list", make_list_once),
        (ConfigLoaderImpl, "_compose_config_from_defaults_list", put_together_once),
        *(
            (kind, "__deepcopy__", lambda self, memo: copy_node(self, self._get_parent()))
            for kind in (DictConfig, ListConfig)
        ),
    ):
        setattr(owner, name, function)


def copy_node(node: Any, parent: Any) -> Any:
    """A copy as OmegaConf makes it, in a tenth of the time: half of what a refusal takes is copying."""
    new = object.__new__(type(node))
    state = new.__dict__
    state.update(node.__dict__)
    old = state["_metadata"]
    state["_metadata"] = metadata = object.__new__(type(old))
    metadata.__dict__.update(old.__dict__)
    metadata.flags = dict(old.flags)
    metadata.resolver_cache = copy.deepcopy(old.resolver_cache) if old.resolver_cache else defaultdict(dict)
    state["_parent"] = parent
    state["_flags_cache"] = None
    content = state.get("_content")
    if isinstance(content, dict):
        state["_content"] = {key: copy_node(each, new) for key, each in content.items()}
    elif isinstance(content, list):
        state["_content"] = [copy_node(each, new) for each in content]
    elif isinstance(content, Node):
        state["_content"] = copy_node(content, new)
    return new

"""The identity of a run: a hash of all settings that change its result."""

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

from labbook.config import renames
from labbook.config.frozen_settings import FROZEN
from labbook.config.schema import FORMERLY, GROUPS, SECTIONS, TrainConfig
from labbook.data.idx_files import own_content
from labbook.runs.weights_source import weights_content

# Settings that do not change the result of a run.
IGNORED_KEYS = (
    "reuse_freed_memory",
    "threads",
    "log_dir",
    "logger",
    "resume",
    "checkpoint",
    "published",
    "seeds",
    "sweep",
    "data.cache_dir",
    "data.on_device",
)
# Callbacks that only show something, and data sets with the same images for any data.root.
PASSIVE = ("labbook.callbacks.Progress", "labbook.callbacks.Pictures")
OWN_DATA, OWN_WEIGHTS = "own_data", "own_weights"  # in the notes of a configuration
SAME_EVERYWHERE = tuple(
    f"labbook.data.{name}" for name in ("digits", "mnist", "cifar", "synthetic", "torchvision_by_name")
)


def run_id(config: DictConfig) -> str:
    """Eight characters, equal for runs with the same result: a hash of the settings without `IGNORED_KEYS`.

    Also without settings that are off (`without_off`), without `PASSIVE` callbacks, and without `data.root` for the
    data sets `SAME_EVERYWHERE`. It depends on the configuration only: no file is read.
    """
    settings: Any = OmegaConf.to_container(config, resolve=True)
    plain = renames.original(settings)
    plain["callbacks"] = result_callbacks(plain["callbacks"])
    if same_everywhere(plain["data"]):
        plain["data"].pop("root", None)
    for name in (*IGNORED_KEYS, "config_groups"):
        *parents, key = renames.original_name(name).split(".")
        node: Any = plain
        for parent in parents:
            node = node[parent]
        node.pop(key, None)
    return hashlib.sha256(json.dumps(canonical(without_off(plain)), sort_keys=True).encode()).hexdigest()[:8]


def without_off(config: Mapping[str, Any]) -> dict[str, Any]:
    """A plain configuration without settings that are off, so that new settings do not change the ID of old runs.

    A setting that version 0.1 did not have (`FROZEN`) is off if it is null, false, 0, "", [] or {}. It is also off if
    it has the value that its field of the root declares as `formerly`. A mapping of the user's own, such as `notes`, is
    one value.
    """
    sections = {
        key: nodes_without_off(value, FROZEN.get(key, frozenset())) if is_section(key, value) else value
        for key, value in config.items()
    }
    return _formerly_left_out(TrainConfig, nodes_without_off(sections, FROZEN[""]))


def is_section(key: str, value: Any) -> bool:
    """Whether a value of the root has settings, or nodes, by name."""
    return isinstance(value, Mapping) and "_target_" not in value and (key in GROUPS or key in SECTIONS)


def nodes_without_off(settings: Mapping[str, Any], frozen: Container[str]) -> dict[str, Any]:
    """Settings without those that are off, also in each node inside; `frozen` ones stay."""
    inside = {key: _node_without_off(value) for key, value in settings.items()}
    return {key: value for key, value in inside.items() if value or key in frozen}


def _node_without_off(value: Any) -> Any:
    if isinstance(value, list):
        return [_node_without_off(item) for item in value]
    if isinstance(value, Mapping) and "_target_" in value:
        return nodes_without_off(value, FROZEN.get(str(value["_target_"]), frozenset()))
    return value


def _formerly_left_out(schema: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that have the value of all runs before the setting existed."""
    kept = dict(settings)
    for item in fields(schema):
        if FORMERLY in item.metadata and kept.get(item.name) == item.metadata[FORMERLY]:
            del kept[item.name]
        elif item.name in SECTIONS and isinstance(kept.get(item.name), Mapping):
            kept[item.name] = _formerly_left_out(SECTIONS[item.name], kept[item.name])
    return kept


def result_callbacks(callbacks: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: node for name, node in (callbacks or {}).items() if node and node.get("_target_") not in PASSIVE}


def is_outside_run_id(name: str, *more: str) -> bool:
    """Whether a setting of the command line is, or is inside, one of `IGNORED_KEYS` or of `more`."""
    current = renames.current_name(name.lstrip("+~").replace("/", "."))
    return any(current == item or current.startswith(f"{item}.") for item in (*IGNORED_KEYS, *more))


def same_everywhere(data: Mapping[str, Any]) -> bool:
    """Whether a data set has the same images everywhere, unless a user's files replace it."""
    return str(data.get("_target_")).rpartition(".")[0] in SAME_EVERYWHERE


def is_published(data: Mapping[str, Any]) -> bool:
    """Whether a data set is `same_everywhere`, and no user's files replace it."""
    return same_everywhere(data) and not own_content(data)


def note_own_files(config: DictConfig) -> DictConfig:
    """Note the content of a user's files that replace a published set, and of the weights that training starts with.

    So they are part of the ID.
    """
    if content := own_content(config.data):
        OmegaConf.update(config, f"notes.{OWN_DATA}", content, force_add=True)
    if content := weights_content(config.model.get("weights")):
        OmegaConf.update(config, f"notes.{OWN_WEIGHTS}", content, force_add=True)
    return config


def canonical(value: Any) -> Any:
    """Plain data in which 1.0 and 1 are the same."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

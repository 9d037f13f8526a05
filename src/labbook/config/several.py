"""Groups with several choices at once, as in callbacks=[ema,early_stopping]. Imports no torch."""

from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from labbook.errors import SettingError

SEVERAL = ("callbacks", "logger", "metrics")


def choices_of_group(hydra_config: Any, group: str) -> list[str]:
    """The choices of a group in Hydra's node, without the defaults of their own files."""
    overrides: Any = OmegaConf.to_container(hydra_config.overrides, resolve=False)
    loader = GlobalHydra.instance().config_loader()
    found = loader.compute_defaults_list(
        hydra_config.job.config_name, [*overrides["task"], *overrides["hydra"]], RunMode.RUN
    )
    inside = f"{group}/"
    return [
        item.config_path.removeprefix(inside)
        for item in found.defaults
        if (item.config_path or "").startswith(inside) and not (item.parent or "").startswith(inside)
    ]


def separate_nodes(given: DictConfig, merged: DictConfig, own: dict[str, DictConfig]) -> dict[str, Any]:
    """The nodes of several choices, by name, for a group whose files do not name their content.

    Hydra merges such files into one node: `given` with the user's settings, `merged` without. A setting applies to each
    choice whose file, in `own`, has it; logger.NAME.SETTING applies to one.
    """
    now, usual, *files = (unresolved_dict(node) for node in (given, merged, *own.values()))
    changed = {key: value for key, value in now.items() if key not in usual or usual[key] != value}
    if "_target_" in changed:
        raise SettingError(f"logger._target_={changed['_target_']} is for one logger, and there are {', '.join(own)}")
    added = {key: value for key, value in changed.items() if key not in usual and key not in own}
    nodes = {}
    for name, file in zip(own, files, strict=True):
        kept = {key: changed.get(key, value) for key, value in file.items() if key in now}
        nodes[name] = kept | added | (changed.get(name) or {}) if kept else {}
    return nodes


def expand_setting_name(name: str, config: DictConfig) -> list[str]:
    """The settings that `name` stands for: logger.SETTING for that of each logger which has it."""
    group, _, setting = name.partition(".")
    nodes = config.get(group) if group == "logger" else None
    if not setting or not nodes or "_target_" in nodes or setting.partition(".")[0] in nodes:
        return [name]
    return [f"{group}.{each}.{setting}" for each, node in nodes.items() if node and setting in node]


def unresolved_dict(node: DictConfig | None) -> dict[str, Any]:
    found: Any = OmegaConf.to_container(node, resolve=False) if node is not None else {}
    return dict(found)

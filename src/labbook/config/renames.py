"""Names in configurations that changed since version 0.1. Imports no torch.

An old run's config.yaml has the first names, and is read with the current ones. Every ID is a hash over the first
names. On a command line and in settings files only current names are valid; `instead` gives them.
"""

from collections.abc import Callable, Mapping
from typing import Any

# Modules in a `_target_`.
MODULES = {
    "labbook.ema": "labbook.callbacks.ema",
    "labbook.lookahead": "labbook.callbacks.lookahead",
    "labbook.losses": "labbook.training.losses",
    "labbook.schedulers": "labbook.training.schedulers",
}
# Settings, by their node ("" for the root). A user's class may have a setting of the same name: names of a node change
# only if all of them are there and it has the target in `OWNERS`, if there is one.
SETTINGS: dict[str, dict[str, str]] = {
    "": {
        "test_on": "test_checkpoint",
        "train_acc_eval": "evaluate_train",
        "keep_memory": "reuse_freed_memory",
        "choices": "config_groups",
    },
    "data": {"resident": "on_device", "validate_on": "validation", "val_from": "val_split"},
    "callbacks.ema": {"every": "update_every_n_steps"},
}
OWNERS = {"callbacks.ema": "labbook.callbacks.ema.EMA"}
# Values of settings, by the setting's current name.
VALUES: dict[str, dict[str, str]] = {"data.validation": {"val": "split"}, "data.val_split": {"tail": "last"}}
# Choices of groups.
CHOICES: dict[str, dict[str, str]] = {"optimizer": {"momentum": "sgd_momentum"}}
# Settings that are callbacks of the same name now.
CALLBACKS = {"task.gradient_norms": "labbook.callbacks.gradient_norms.GradientNorms"}

Names = Mapping[str, str]


def current_target(target: str) -> str:
    return _in_module(target, MODULES)


def current(config: Mapping[str, Any]) -> dict[str, Any]:
    """A plain configuration of any version with current names."""
    found: dict[str, Any] = _with_targets(config, current_target)
    for group, choices in CHOICES.items():
        _replace(_node(found, "choices"), group, choices)
    for parent, names in SETTINGS.items():
        _rename(found, parent, names, VALUES)
    for name, target in CALLBACKS.items():
        parent, _, key = name.rpartition(".")
        if _node(found, parent).pop(key, False):
            found["callbacks"] = {**(found.get("callbacks") or {}), key: {"_target_": target}}
    return found


def original(config: Mapping[str, Any]) -> dict[str, Any]:
    """A plain configuration of any version with the first names, which IDs use."""
    found = current(config)
    for name, target in CALLBACKS.items():
        parent, _, key = name.rpartition(".")
        callbacks = found.get("callbacks") or {}
        used = (callbacks.get(key) or {}).get("_target_") == target
        if parent in found:
            found[parent][key] = used
            found["callbacks"] = {other: node for other, node in callbacks.items() if not used or other != key}
    for parent, names in SETTINGS.items():
        values = {joined(parent, old): inverse(VALUES.get(joined(parent, new), {})) for old, new in names.items()}
        _rename(found, parent, inverse(names), values)
    for group, choices in CHOICES.items():
        _replace(_node(found, "choices"), group, inverse(choices))
    first: dict[str, Any] = _with_targets(found, lambda target: _in_module(target, inverse(MODULES)))
    return first


def current_name(name: str) -> str:
    parent, _, key = name.rpartition(".")
    return joined(parent, SETTINGS.get(parent, {}).get(key, key))


def original_name(name: str) -> str:
    parent, _, key = name.rpartition(".")
    return joined(parent, inverse(SETTINGS.get(parent, {})).get(key, key))


def original_override(override: str) -> str:
    """A setting with one value as it was first written, as in the names of old sweeps."""
    name, equals, value = override.partition("=")
    values = inverse(CHOICES.get(name) or VALUES.get(name, {}))
    return f"{original_name(name)}{equals}{values.get(value, value)}"


def instead(name: str) -> str:
    """The error for a setting's first name, with the current one; empty for other names."""
    key = name.rpartition(".")[2]
    if name in CALLBACKS:
        return f"{name} is a callback now: write callbacks={key}, or callbacks=[{key},OTHER] for several"
    new = current_name(name)
    if new == name:
        return ""
    values = ", ".join(f"{now} for {was}" for was, now in VALUES.get(new, {}).items())
    return f"{name} was renamed: write {new}=VALUE" + (f", with {values}" if values else "")


def instead_of_choice(group: str, choice: str) -> str:
    """The error for a choice's first name; empty for other choices."""
    new = CHOICES.get(group, {}).get(choice)
    return f"{group}={choice} was renamed: write {group}={new}" if new else ""


def joined(parent: str, key: str) -> str:
    """The dotted name of a setting of a node; for the root, whose name is empty, the key."""
    return f"{parent}.{key}" if parent else key


def inverse(names: Names) -> dict[str, str]:
    return {new: old for old, new in names.items()}


def _in_module(target: str, modules: Names) -> str:
    module, dot, name = target.rpartition(".")
    return f"{modules.get(module, module)}{dot}{name}"


def _with_targets(node: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(node, Mapping):
        return {
            key: rename(value) if key == "_target_" and isinstance(value, str) else _with_targets(value, rename)
            for key, value in node.items()
        }
    return [_with_targets(item, rename) for item in node] if isinstance(node, list) else node


def _node(config: dict[str, Any], name: str) -> dict[str, Any]:
    """The node of a dotted name; an empty one if it is missing."""
    node: Any = config
    for key in name.split(".") if name else ():
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def _rename(config: dict[str, Any], parent: str, names: Names, values: Mapping[str, Names]) -> None:
    """Rename settings of a node in place, and their values, by the new name of each setting."""
    node = _node(config, parent)
    if (parent and not names.keys() <= node.keys()) or OWNERS.get(parent) not in (None, node.get("_target_")):
        return
    items = [(names.get(key, key), value) for key, value in node.items()]
    node.clear()
    node.update(items)
    for name in names.values():
        _replace(node, name, values.get(joined(parent, name), {}))


def _replace(node: dict[str, Any], key: str, values: Names) -> None:
    if isinstance(value := node.get(key), str) and value in values:
        node[key] = values[value]

"""Modules that configurations name in `_target_` and that have moved since. Imports no torch.

Runs of before have the old name in their config.yaml and in their identity. They are read with the new one, and the
identity of any run has the old one.
"""

from collections.abc import Callable
from typing import Any

MOVED = {
    "labbook.ema": "labbook.callbacks.ema",
    "labbook.lookahead": "labbook.callbacks.lookahead",
    "labbook.losses": "labbook.training.losses",
    "labbook.schedulers": "labbook.training.schedulers",
}
_BACK = {new: old for old, new in MOVED.items()}


def current_target(target: str) -> str:
    """A target by the name that its module has now."""
    module, dot, name = target.rpartition(".")
    return f"{MOVED.get(module, module)}{dot}{name}"


def original_target(target: str) -> str:
    """A target by the first name of its module, which identities have."""
    module, dot, name = target.rpartition(".")
    return f"{_BACK.get(module, module)}{dot}{name}"


def rename_targets(node: Any, rename: Callable[[str], str] = current_target) -> Any:
    """A plain configuration with all its targets renamed."""
    if isinstance(node, dict):
        return {
            key: rename(value) if key == "_target_" and isinstance(value, str) else rename_targets(value, rename)
            for key, value in node.items()
        }
    return [rename_targets(item, rename) for item in node] if isinstance(node, list) else node

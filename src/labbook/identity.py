"""What makes two runs the same: a hash of all settings that decide what they compute."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from labbook.data.idx_files import SETS, own_files

# Settings that do not change what a run computes: they are left out of its identity.
INDIFFERENT = (
    "keep_memory",
    "log_dir",
    "logger",
    "resume",
    "checkpoint",
    "published",
    "seeds",
    "sweep",
    "data.cache_dir",
    "data.resident",
)
# Settings that came after runs had been made without them, and the value that changes nothing: left out where they have
# it, so that those runs are known again.
LATER = {
    "notes": {},
    "task.mixup": 0.0,
    "task.cutmix": 0.0,
    "task.sam": 0.0,
    "task.layer_lr_decay": 1.0,
    "task.backbone_lr_factor": 1.0,
    "data.range": None,
}
# Callbacks that only show, and data sets that hold the same images wherever data.root says that they lie.
PASSIVE = ("labbook.callbacks.Progress", "labbook.callbacks.Pictures")
SAME_EVERYWHERE = ("labbook.data.digits", "labbook.data.mnist", "labbook.data.cifar", "labbook.data.synthetic")


def identity(config: DictConfig) -> str:
    """Eight characters that are equal for runs that compute the same: a hash without the `INDIFFERENT` settings.

    Also without settings that came `LATER` and are off, without `PASSIVE` callbacks, and without `data.root` for sets
    that are the `SAME_EVERYWHERE`, unless somebody's own files lie in their place.
    """
    plain: Any = OmegaConf.to_container(config, resolve=True)
    plain["callbacks"] = deciding(plain["callbacks"])
    if same_everywhere(plain["data"]):
        plain["data"].pop("root", None)
    off = [name for name, value in LATER.items() if OmegaConf.select(config, name) == value]
    for name in (*INDIFFERENT, *off, "choices"):
        *parents, key = name.split(".")
        node: Any = plain
        for parent in parents:
            node = node[parent]
        node.pop(key, None)
    return hashlib.sha256(json.dumps(canonical(plain), sort_keys=True).encode()).hexdigest()[:8]


def deciding(callbacks: Mapping[str, Any] | None) -> dict[str, Any]:
    """The callbacks without those that only show something."""
    return {name: node for name, node in (callbacks or {}).items() if node and node.get("_target_") not in PASSIVE}


def same_everywhere(data: Mapping[str, Any]) -> bool:
    """Whether a data set holds the same images wherever it lies: not where it is of somebody's own files."""
    target = str(data.get("_target_"))
    if target in SETS and data.get("root"):
        folder, published = SETS[target]
        if own_files(Path(str(data["root"])).expanduser() / folder, published.values()):
            return False
    return target.rpartition(".")[0] in SAME_EVERYWHERE


def canonical(value: Any) -> Any:
    """Plain data in which 1.0 and 1 are the same."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

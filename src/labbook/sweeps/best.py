"""The best setting of a sweep as an experiment that can be run."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from labbook.config import FILES, GROUPS
from labbook.files import write_whole
from labbook.identity import INDIFFERENT, same_everywhere
from labbook.keys import listed

FILE = Path("experiment") / "best.yaml"  # in the sweep's folder, which Hydra takes as a folder of configurations


def write(sweep: Path, run: str, config: Mapping[str, Any], found: str, added: Sequence[str]) -> str:
    """Write the experiment that does a run again; returns the command.

    `config` is the run's configuration, `found` says in words how good it was, `added` are overrides of the sweep
    that add or take away a setting: no file can do that, so they are part of the command.
    """
    keys = [item.lstrip("+~").partition("=")[0] for item in added]
    choices = config["choices"]
    chosen = {group: str(choices[group]) for group in GROUPS if group in choices and group not in FILES}
    defaults = [
        {f"override /{group}": listed(choice) if choice.startswith("[") else choice} for group, choice in chosen.items()
    ]
    left_out = {*INDIFFERENT, "choices", *keys} | ({"data.root"} if same_everywhere(config["data"]) else set())
    settings = {key: _kept(key, value, left_out) for key, value in config.items() if key not in left_out}
    text = yaml.safe_dump({"defaults": defaults, **settings}, sort_keys=False)
    (sweep / FILE).parent.mkdir(exist_ok=True)
    write_whole(sweep / FILE, f"# @package _global_\n# {found} ({run})\n{text}")
    again = [
        item if item.startswith("~") else f"{item.partition('=')[0]}={_value(config, key)}"
        for item, key in zip(added, keys, strict=True)
    ]
    return shlex.join(["python", "train.py", f"--config-dir={sweep}", "experiment=best", *again])


def _kept(name: str, node: Any, left_out: set[str]) -> Any:
    """A setting without those beneath it that are left out."""
    if not isinstance(node, Mapping):
        return node
    whole = {key: (f"{name}.{key}", value) for key, value in node.items()}
    return {key: _kept(dotted, value, left_out) for key, (dotted, value) in whole.items() if dotted not in left_out}


def _value(config: Mapping[str, Any], key: str) -> str:
    """The value that the run had, as an override takes it."""
    node: Any = config
    for part in key.split("."):
        node = node[part]
    return json.dumps(node).replace('"', "'")

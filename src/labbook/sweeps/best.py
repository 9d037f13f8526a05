"""The best setting of a sweep as an experiment that can be run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from labbook.config import FILES, GROUPS
from labbook.runs import INDIFFERENT, write_whole

FILE = Path("experiment") / "best.yaml"  # in the sweep's folder, which Hydra takes as a folder of configurations


def write(sweep: Path, run: str, config: Mapping[str, Any], found: str) -> str:
    """Write the experiment that does a run again; returns the command.

    `config` is the run's configuration, `found` says in words how good it was.
    """
    choices = config["choices"]
    defaults = [{f"override /{group}": choices[group]} for group in GROUPS if group in choices and group not in FILES]
    settings = {key: _kept(key, value) for key, value in config.items() if key not in (*INDIFFERENT, "choices")}
    text = yaml.safe_dump({"defaults": defaults, **settings}, sort_keys=False)
    (sweep / FILE).parent.mkdir(exist_ok=True)
    write_whole(sweep / FILE, f"# @package _global_\n# {found} ({run})\n{text}")
    return f"python train.py --config-dir={sweep} experiment=best"


def _kept(name: str, node: Any) -> Any:
    """A setting without what depends on the machine."""
    if not isinstance(node, Mapping):
        return node
    return {key: _kept(f"{name}.{key}", value) for key, value in node.items() if f"{name}.{key}" not in INDIFFERENT}

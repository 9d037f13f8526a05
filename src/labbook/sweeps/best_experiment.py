"""The best setting of a sweep as an experiment."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from labbook.config.invocation import program_name
from labbook.config.job_config import reference_config
from labbook.config.path_rules import join_words
from labbook.config.published import get_setting
from labbook.config.schema import NODES, OPTIONAL
from labbook.config.unknown_keys import split_choice, unknown_keys
from labbook.console import print_notes
from labbook.errors import SettingError
from labbook.files import write_whole
from labbook.runs.run_id import IGNORED_KEYS, OWN_DATA, run_id, same_everywhere, without_off
from labbook.runs.sweep_folder import SweepFolder, read_manifest

FILE = Path("experiment") / "best.yaml"  # in the sweep's folder, which Hydra reads as a folder of configurations


def write_experiment(sweep: Path, run: str, config: Mapping[str, Any], found: str, others: Sequence[Path] = ()) -> str:
    """Write the experiment that repeats a run; returns the command.

    `config` is the run's configuration, `found` describes its result, `others` are more folders with group files. A
    file cannot add or remove settings, so these are part of the command.
    """
    choices = config["config_groups"]
    chosen = {group: str(choices[group]) for group in NODES if group in choices}
    defaults = [
        {f"override /{group}": split_choice(choice) if choice.startswith("[") else choice}
        for group, choice in chosen.items()
    ]
    known: Any = OmegaConf.to_container(reference_config(tuple(map("=".join, chosen.items()))))
    added = [name for name in unknown_keys(dict(config), known) if name.partition(".")[0] in chosen]
    removed = [name for name in unknown_keys(without_off(known), dict(config)) if name.partition(".")[0] in chosen]
    removed += [group for group in OPTIONAL if group not in choices]
    anywhere = same_everywhere(config["data"]) and OWN_DATA not in config.get("notes", {})
    left_out = {*IGNORED_KEYS, "fold", "folds", "config_groups", *added} | ({"data.root"} if anywhere else set())
    settings = {key: _kept(key, value, left_out) for key, value in config.items() if key not in left_out}
    text = yaml.safe_dump({"defaults": defaults, **settings}, sort_keys=False)
    (sweep / FILE).parent.mkdir(exist_ok=True)
    write_whole(sweep / FILE, f"# @package _global_\n# {found} ({run})\n{text}")
    path = [f"hydra.searchpath={plain_override([str(folder) for folder in others])}"] if others else []
    more = [f"+{name}={plain_override(get_setting(config, name))}" for name in added] + [f"~{name}" for name in removed]
    return join_words([*program_name().split(), f"--config-dir={sweep}", *path, "experiment=best", *more])


def run_of(folder: Path) -> Path:
    """The folder of a run, or the best run of a sweep's folder, which is printed on the error stream."""
    if read_manifest(folder) is None:
        return folder
    path, objective = best_run(folder)
    print_notes([f"{folder} is a sweep: its best run by {objective} is {path}"])
    return path


def best_run(folder: Path) -> tuple[Path, str]:
    """The best run of a sweep's folder, and the objective."""
    from labbook.reports import grouping, read_runs  # plots, which take a second to import

    report = grouping.group_runs(read_runs.read_sweep(folder))
    if report.on_test:
        raise SettingError(
            f"{folder}: its runs were validated on the test set, so no best run is selected: use one of them"
        )
    if len(report.winners) > 1:
        each = ", ".join(str(row.best.path) for row in report.winners if row.best)
        raise SettingError(
            f"{folder}: its runs are of different data sets, so no best run is selected: use one, such as {each}"
        )
    best = report.best.best if report.best else None
    if best is None:
        raise SettingError(f"{folder} is a sweep without a finished run that has {report.objective}: give a run")
    return best.path, report.objective


def runs_of(folder: Path) -> list[Path]:
    """The folder of a run, or the finished runs of a sweep's folder, the best setting first."""
    if read_manifest(folder) is None:
        return [folder]
    from labbook.reports import grouping, read_runs

    rows = grouping.group_runs(read_runs.read_sweep(folder)).rows
    return [run.path for row in rows for run in sorted(row.finished, key=lambda run: run.path)]


def finished_before(config: DictConfig, folders: Iterable[Path]) -> Path | None:
    """A finished run with the same settings, in one of the sweeps that settings are read from."""
    for sweep in (SweepFolder(folder) for folder in folders if read_manifest(folder) is not None):
        name = sweep.by_identity().get(run_id(config))
        if name and sweep.state(name)[0] == "finished":
            return sweep.path / name
    return None


def _kept(name: str, node: Any, left_out: set[str]) -> Any:
    if not isinstance(node, Mapping):
        return node
    there = {key: value for key, value in node.items() if f"{name}.{key}" not in left_out}
    return {key: _kept(f"{name}.{key}", value, left_out) for key, value in there.items()}


def plain_override(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{plain_override(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(plain_override, value))}]"
    if isinstance(value, str):
        quoted = re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", value))
        return f"'{quoted}'"
    return json.dumps(value)

"""Read a sweep's folder into records. Imports no torch."""

import csv
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from labbook.config import renames
from labbook.config.path_rules import check_local_path
from labbook.config.unknown_keys import flatten
from labbook.config.untrusted import LOADER, check_yaml_form, read_settings_file
from labbook.errors import SettingError
from labbook.runs.run_folder import CONFIG, LOG, METRICS, TABLE, State, read_metrics
from labbook.runs.run_id import without_off
from labbook.runs.sweep_folder import MANIFEST, SweepFolder, read_manifest

Floats = np.ndarray[Any, np.dtype[np.float64]]

MATRICES = {part: f"{part}/confusion_matrix" for part in ("val", "test")}
CLASSES = "class_names"  # large, as are the matrices: read again for the few runs that are drawn
ALIASED = re.compile(r"[\s\[{,:-][&*]")
PARTS = ("train/", "val/", "test/")  # prefixes of metrics, by data split
OWN_NUMBERS = ("train_seconds", "images_per_second", "objective")  # of the program, besides the metrics
GRADIENT = "gradient/"  # prefix of the columns of gradient norms


@dataclass(frozen=True)
class RunRecord:
    """The content of a run folder; missing or unreadable parts are empty."""

    path: Path
    state: State
    config: dict[str, Any]
    metrics: dict[str, Any]
    table: dict[str, Floats]  # metrics.csv by column, float [epochs], nan for a missing value
    started: float  # seconds since 1970
    ended: float

    @cached_property
    def settings(self) -> dict[str, Any]:
        return flatten(self.config)

    @cached_property
    def effective(self) -> dict[str, Any]:
        """The settings without those that are off, which runs of older versions do not have."""
        return flatten(renames.current(without_off(renames.original(self.config))))

    @property
    def choices(self) -> dict[str, str]:
        chosen = self.config.get("config_groups")
        return {str(group): str(name) for group, name in chosen.items()} if isinstance(chosen, dict) else {}

    @property
    def version(self) -> str:
        """The code version; for a run resumed by other code, all versions in order."""
        earlier = _texts(self.metrics.get("earlier_code"))
        return " then ".join([*earlier, str(self.metrics.get("code_version", "unknown"))])

    @property
    def machine(self) -> str:
        return ", ".join(str(self.metrics[name]) for name in ("device", "precision") if name in self.metrics)

    @property
    def reason(self) -> str:
        lines = str(self.metrics.get("reason", "")).strip().splitlines()
        return lines[0] if lines else "unknown reason"

    @property
    def log(self) -> Path:
        return self.path / LOG

    def metric(self, name: str) -> float | None:
        """A final metric; None if there is none or it is not finite."""
        value = self.metrics.get(name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if number and value is not None else None

    def final_metrics(self, part: str) -> list[str]:
        """The names of final metrics of a data split, such as `test/f1` of `test`."""
        return [name for name in self.metrics if name.startswith(f"{part}/") and self.metric(name) is not None]

    @property
    def tested(self) -> bool:
        """Whether it has test metrics."""
        return bool(self.final_metrics("test") or self.metrics.get("test_metrics"))

    def other_metrics(self) -> list[str]:
        """The names of final metrics without a data split, such as `g_loss`."""
        known = (*PARTS, *OWN_NUMBERS)
        return [name for name, value in self.metrics.items() if isinstance(value, float) and not name.startswith(known)]

    def confusion(self, part: str = "test") -> tuple[Floats, list[str]] | None:
        """Counts by true and predicted class of a split, [classes, classes], and the class names; or None."""
        metrics = read_metrics(self.path)
        try:
            counts = np.array(metrics[MATRICES[part]], dtype=np.float64)
            names = [str(name) for name in metrics[CLASSES]]
        except (KeyError, TypeError, ValueError):
            return None
        return (counts, names) if names and counts.shape == (len(names), len(names)) else None


@dataclass(frozen=True)
class SweepRecord:
    """A sweep's manifest and its runs, by name."""

    path: Path
    over: tuple[str, ...]  # swept keys, in order
    commands: tuple[str, ...]
    objective: str
    to_come: int  # planned runs that have not started
    runs: tuple[RunRecord, ...] = field(repr=False)
    code: str = ""  # code version of the last command; empty if unknown
    mode: str = "auto"  # whether a smaller objective is better: min, max, or auto from its name

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def versions(self) -> dict[str, int]:
        """The number of finished runs per code version, that of the last run first."""
        finished = [run for run in self.runs if run.state == "finished"]
        return dict(Counter(run.version for run in sorted(finished, key=lambda run: run.ended, reverse=True)))

    @property
    def expected_code(self) -> str:
        """The code version of the last command, or else of the last run."""
        return self.code or next(iter(self.versions), "")


def read_sweep(folder: Path) -> SweepRecord:
    """The content of a sweep's folder, whatever the state of its runs."""
    check_local_path("the sweep", folder)
    if not folder.is_dir():
        raise SettingError(f"{folder} is not a folder: use one in logs/sweeps")
    mark = read_manifest(folder)
    if mark is None:
        what = "cannot be read" if (folder / MANIFEST).exists() else "is not there"
        raise SettingError(f"{folder} was not made by a sweep: its {MANIFEST} {what}")
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())
    sweep = SweepFolder(folder)
    runs = tuple(read_run(sweep, path) for path in paths if (path / CONFIG).exists() or (path / METRICS).exists())
    over, commands = (_texts(mark.get(name)) for name in ("over", "commands"))
    there = {run.path.name.rpartition("-")[2] for run in runs}
    to_come = len(set(_texts(mark.get("planned"))) - there)
    objective = str(mark.get("objective", "val/acc"))
    code, mode = str(mark.get("code_version", "")), str(mark.get("objective_mode", "auto"))
    return SweepRecord(folder, tuple(key.lstrip("+~") for key in over), commands, objective, to_come, runs, code, mode)


def read_run(sweep: SweepFolder, path: Path) -> RunRecord:
    state, metrics = sweep.state(path.name)
    slim = {name: value for name, value in metrics.items() if name not in (*MATRICES.values(), CLASSES)}
    config = read_plain_config(path / CONFIG)
    started, ended = (_written(path / name) for name in (CONFIG, METRICS))
    return RunRecord(
        path, state if config else "damaged", config, slim, read_metric_table(path / TABLE), started, ended or started
    )


def read_plain_config(file: Path) -> dict[str, Any]:
    """A resolved configuration as plain data; empty if it is missing or damaged."""
    try:
        text = read_settings_file(file)
        if ALIASED.search(text):  # a few lines of YAML aliases can fill all memory
            check_yaml_form(text, str(file))
        content = yaml.load(text, Loader=LOADER)
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return renames.current(content) if isinstance(content, dict) else {}


def read_metric_table(file: Path) -> dict[str, Floats]:
    """The columns of metrics.csv, in order; cut rows and values that are no numbers are missing."""
    try:
        rows = list(csv.reader(file.read_text(encoding="utf-8", errors="replace").splitlines()))
    except (OSError, csv.Error):
        return {}
    if not rows:
        return {}
    names = rows[0]
    cells = [[_number(cell) for cell in row] for row in rows[1:] if len(row) == len(names)]
    values = np.array(cells, dtype=np.float64).reshape(len(cells), len(names))
    return dict(zip(names, values.T, strict=True))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0

"""A sweep's folder read into records. Imports no torch."""

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from labbook.config import renames
from labbook.config.path_rules import check_local_path
from labbook.config.untrusted import LOADER, check_yaml_form, read_settings_file
from labbook.errors import SettingError
from labbook.runs.run_folder import CONFIG, LOG, METRICS, TABLE, read_metrics
from labbook.runs.run_id import without_off
from labbook.runs.status import State
from labbook.runs.sweep_folder import MANIFEST, SweepFolder, read_manifest

Floats = np.ndarray[Any, np.dtype[np.float64]]

MATRICES = {part: f"{part}/confusion_matrix" for part in ("val", "test")}
CLASSES = "class_names"  # large, as the matrices: read again of the few runs that are drawn
ALIASED = re.compile(r"[\s\[{,:-][&*]")
PARTS = ("train/", "val/", "test/")  # what the names of metrics of a part of the data begin with
OWN_NUMBERS = ("train_seconds", "images_per_second", "objective")  # of the program, beside the metrics
GRADIENT = "gradient/"  # what the columns of a layer's gradient norm begin with


@dataclass(frozen=True)
class RunRecord:
    """What the folder of one run says; what it does not say, or not legibly, is empty."""

    path: Path
    state: State
    config: dict[str, Any]
    metrics: dict[str, Any]
    table: dict[str, Floats]  # metrics.csv by column, float [epochs], nan where a row has no figure
    started: float  # seconds since 1970
    ended: float

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All settings by their dotted names; lists are values."""
        return flatten(self.config)

    @cached_property
    def effective(self) -> dict[str, Any]:
        """The settings without those that are off, which a run of an older version does not have."""
        return flatten(renames.current(without_off(renames.original(self.config))))

    @property
    def choices(self) -> dict[str, str]:
        """Which file of each group was taken."""
        chosen = self.config.get("config_groups")
        return {str(group): str(name) for group, name in chosen.items()} if isinstance(chosen, dict) else {}

    @property
    def version(self) -> str:
        """The code that made it; of a run that was resumed by other code, all versions in their order."""
        earlier = _texts(self.metrics.get("earlier_code"))
        return " then ".join([*earlier, str(self.metrics.get("code_version", "unknown"))])

    @property
    def machine(self) -> str:
        """The device and the precision, as metrics.json has them."""
        return ", ".join(str(self.metrics[name]) for name in ("device", "precision") if name in self.metrics)

    @property
    def reason(self) -> str:
        """Why it failed, in one line."""
        lines = str(self.metrics.get("reason", "")).strip().splitlines()
        return lines[0] if lines else "unknown reason"

    @property
    def log(self) -> Path:
        """Where the traceback of a failure lies."""
        return self.path / LOG

    def metric(self, name: str) -> float | None:
        """A final figure; None where there is none that is finite."""
        value = self.metrics.get(name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if number and value is not None else None

    def final_metrics(self, part: str) -> list[str]:
        """The names of the final metrics of a part of the data, such as `test/f1` of `test`."""
        return [name for name in self.metrics if name.startswith(f"{part}/") and self.metric(name) is not None]

    @property
    def tested(self) -> bool:
        """Whether it has metrics of a test."""
        return bool(self.final_metrics("test") or self.metrics.get("test_metrics"))

    def other_metrics(self) -> list[str]:
        """The names of final metrics that a module logged without naming a part of the data, such as `g_loss`."""
        known = (*PARTS, *OWN_NUMBERS)
        return [name for name, value in self.metrics.items() if isinstance(value, float) and not name.startswith(known)]

    def confusion(self, part: str = "test") -> tuple[Floats, list[str]] | None:
        """Counts by true and predicted class of a part, [classes, classes], and the classes' names; None without."""
        metrics = read_metrics(self.path)
        try:
            counts = np.array(metrics[MATRICES[part]], dtype=np.float64)
            names = [str(name) for name in metrics[CLASSES]]
        except (KeyError, TypeError, ValueError):
            return None
        return (counts, names) if names and counts.shape == (len(names), len(names)) else None


@dataclass(frozen=True)
class SweepRecord:
    """A sweep's own notes and its runs, by name."""

    path: Path
    over: tuple[str, ...]  # keys that were swept, in their order
    commands: tuple[str, ...]
    objective: str
    to_come: int  # runs that are planned and not begun
    runs: tuple[RunRecord, ...] = field(repr=False)
    code: str = ""  # version of the code of the last command; empty where it was not noted
    mode: str = "auto"  # whether a smaller objective is better: min, max, or by its name

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.path.resolve().name


def read_sweep(folder: Path) -> SweepRecord:
    """All that a sweep's folder holds, whatever state its runs are in."""
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
    """One run's folder, as far as it can be read."""
    state, metrics = sweep.state(path.name)
    slim = {name: value for name, value in metrics.items() if name not in (*MATRICES.values(), CLASSES)}
    config = read_plain_config(path / CONFIG)
    started, ended = (_written(path / name) for name in (CONFIG, METRICS))
    return RunRecord(
        path, state if config else "damaged", config, slim, read_table(path / TABLE), started, ended or started
    )


def read_plain_config(file: Path) -> dict[str, Any]:
    """A resolved configuration as plain data; nothing where there is none or it is damaged."""
    try:
        text = read_settings_file(file)
        if ALIASED.search(text):  # a few lines of aliases may stand for more than any memory holds
            check_yaml_form(text, str(file))
        content = yaml.load(text, Loader=LOADER)
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return renames.current(content) if isinstance(content, dict) else {}


def read_table(file: Path) -> dict[str, Floats]:
    """The columns of a run's metrics.csv, in their order; a row cut short and what is no number count as absent."""
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


def flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A plain configuration as one level of dotted names."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            found |= flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


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

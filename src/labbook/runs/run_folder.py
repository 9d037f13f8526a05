"""The folder of a run: its name, its files and what they say. Imports no torch."""

import json
import logging
import math
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from labbook.config.invocation import program_name
from labbook.config.path_rules import quote_override, short_file_name
from labbook.errors import SettingError
from labbook.files import find_corruption, finite_or_null, is_folder_locked, read_json, remove_partial, write_whole
from labbook.runs import locks
from labbook.runs.provenance import code_version, other_code_version, typed_command

log = logging.getLogger("labbook")

Status = Literal["running", "finished", "pruned", "interrupted", "failed"]

CONFIG, METRICS, TABLE, LOG = "config.yaml", "metrics.json", "metrics.csv", "train.log"
OF_THE_END = ("reason", "stopped_early")  # in metrics.json: how the training ended
PREDICTIONS = "test_predictions.csv"
CHECKPOINTS = "checkpoints"  # a folder with these in it:
LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


class RunFolder:
    """The folder of one run: its settings, its metrics and its checkpoints.

    Attributes:
        leads: whether this process writes; the other processes of a distributed run only read.
        metrics: the content of metrics.json without the status.
        pruned: a search ended the run early because others were better.
        state: the checkpoint to resume from.
        existed: whether the run was there before.
    """

    def __init__(self, path: Path, config: DictConfig, leads: bool = True) -> None:
        self.path, self.config, self.leads = path, config, leads
        self.metrics: dict[str, Any] = {}
        self.pruned = False
        self.state: Path | None = None
        self._stamps: list[int] = []  # when the checkpoints that were there before were written
        self._before = {name: (path / name).read_bytes() for name in (CONFIG, METRICS) if (path / name).is_file()}
        self.existed = bool(self._before)

    @property
    def resumes(self) -> bool:
        return self.leads and self.existed

    @property
    def part_of_sweep(self) -> bool:
        return self.config.sweep.job.folder is not None

    @property
    def saved(self) -> list[Path]:
        return saved_states(self.path)

    def has_new_states(self) -> bool:
        """Whether a checkpoint was saved since `read`."""
        return self._stamps != [file.stat().st_mtime_ns for file in self.saved]

    def read(self) -> list[str]:
        """Read the metrics and choose the checkpoint to resume from; returns what is wrong with newer checkpoints."""
        self.state, damaged = newest_intact_state(self.path)
        self._stamps = [file.stat().st_mtime_ns for file in self.saved]
        self.metrics = {key: value for key, value in read_metrics(self.path).items() if key not in OF_THE_END}
        return damaged

    def start(self) -> None:
        """Record that the run is running, and with which settings."""
        for folder in (self.path, self.path / CHECKPOINTS) if self.leads else ():
            remove_partial(folder)
        # The status comes first: a finished run that is trained longer is not finished any more.
        self.record(self._resume_facts() if self.resumes else {}, "running")
        if self.leads:
            resolved: Any = OmegaConf.to_container(self.config, resolve=True)  # which may take values of those left out
            lasting = {key: value for key, value in resolved.items() if key not in ("sweep", "seeds")}
            write_whole(self.path / CONFIG, f"# {typed_command()}\n{OmegaConf.to_yaml(lasting)}", durable=True)

    def _resume_facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"resumed": self.metrics.get("resumed", 0) + 1}
        if self.saved and (version := other_code_version(self.metrics)):
            log.warning("started by other code, %s; this is %s", version, code_version())
            facts["earlier_code"] = list(dict.fromkeys([*self.metrics.get("earlier_code", []), version]))
        return facts

    def record(self, metrics: Mapping[str, Any], status: Status) -> None:
        self.metrics |= metrics
        if self.leads:
            content = self.metrics | {"status": status, "seed": self.config.seed, "code_version": code_version()}
            if self.part_of_sweep:
                content["launch"] = self.config.sweep.job.launch
            lines = (f"  {json.dumps(name)}: {json.dumps(finite_or_null(value))}" for name, value in content.items())
            write_whole(self.path / METRICS, "{\n" + ",\n".join(lines) + "\n}\n")

    def finish(self, metrics: Mapping[str, Any]) -> None:
        self.record(metrics, "pruned" if self.pruned else "finished")
        (self.path / CHECKPOINTS / PREVIOUS).unlink(missing_ok=True)

    def resume_hint(self) -> str:
        """The end of a sentence about a run that ended early; empty in a sweep, whose command resumes its runs."""
        return "" if self.part_of_sweep else f"; to resume: {program_name()} {quote_override('resume', self.path)}"

    def undo(self) -> None:
        """Restore the files that were there before; remove the folder of a new run."""
        if not self.leads:
            return
        for name, content in self._before.items():
            write_whole(self.path / name, content)
        if not self.existed:
            shutil.rmtree(self.path, ignore_errors=True)


def new_run_path(config: DictConfig) -> tuple[Path, str]:
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    chosen = {group: str(config.config_groups[group]) for group in ("model", "data") if group in config.config_groups}
    if variant := OmegaConf.select(config, "model.name"):  # as in model=resnet18 model.name=resnet34
        chosen["model"] = str(variant)
    return Path(config.log_dir) / "runs", "_".join([now, *map(short_file_name, chosen.values())])


def make_run_folder(parent: Path, name: str) -> Path:
    """Create a folder that no other run has, even one that starts in the same second."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for path in chain([parent / name], (parent / f"{name}_{number}" for number in count(2))):
            with suppress(FileExistsError):
                path.mkdir()
                break
        return path
    except OSError as error:
        raise SettingError(
            f"cannot make a run folder in {parent} ({error.strerror}): use another folder with log_dir=FOLDER"
        ) from error


def saved_states(path: Path) -> list[Path]:
    return [file for name in (LAST, PREVIOUS) if (file := path / CHECKPOINTS / name).is_file()]


def newest_intact_state(path: Path) -> tuple[Path | None, list[str]]:
    """The newest intact checkpoint, if there is any, and what is wrong with newer ones."""
    damaged: list[str] = []
    for file in saved_states(path):
        if (wrong := find_corruption(file)) is None:
            return file, damaged
        damaged.append(f"{file} is damaged ({wrong})")
    if damaged:
        raise SettingError(
            f"{' and '.join(damaged)}, and there is no other checkpoint: to start from the beginning, delete"
            f" {path / CHECKPOINTS}"
        )
    return None, []


def read_metrics(path: Path) -> dict[str, Any]:
    return read_json(path / METRICS)


WITH_FIGURES = ("finished", "pruned")

State = Literal["new", "running", "interrupted", "failed", "finished", "pruned", "damaged"]


def state_of(run: Path) -> tuple[State, dict[str, Any]]:
    """The state of a run, and its metrics.json. A killed run is interrupted, whatever its metrics.json says."""
    metrics = read_metrics(run)
    status, objective = metrics.get("status"), metrics.get("objective", "")
    if status in WITH_FIGURES and not (type(objective) in (int, float) and math.isfinite(objective)):
        return "damaged", metrics
    if status in (*WITH_FIGURES, "failed", "interrupted"):
        return status, metrics
    if status == "running":
        run = run.absolute()
        held = is_folder_locked(run) or locks.lock_owner(run.parent, run.name)
        return ("running" if held else "interrupted"), metrics
    return ("damaged" if (run / METRICS).exists() else "new"), metrics


def unfinished_notes(run: Path) -> list[str]:
    """Notes on a run whose network is used before its training is finished."""
    state, metrics = state_of(run)
    if metrics.get("status") == "finished":
        return []
    known = metrics.get("status", "unknown") if state in ("damaged", "new") else state
    return [f"the run is not finished ({known}): its last checkpoint is used"]

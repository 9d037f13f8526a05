"""The figures of a sweep without its weights, logs and pictures."""

import json
import shutil
from pathlib import Path
from typing import Literal, NamedTuple

from labbook.errors import SettingError
from labbook.files import write_whole
from labbook.reports import read_runs, tables
from labbook.reports.grouping import group_runs
from labbook.reports.sweep_page import CSV
from labbook.runs.run_folder import CONFIG, METRICS, TABLE
from labbook.runs.sweep_folder import MANIFEST, read_manifest

Before = Literal["add", "replace"]
"""What becomes of runs kept before that a sweep does not have: its own come besides or instead."""


class Finished(NamedTuple):
    """A sweep that can be kept."""

    sweep: read_runs.SweepRecord
    runs: tuple[read_runs.RunRecord, ...]
    add: bool


def finished(sweep: Path, into: Path, before: Before | None = None) -> Finished:
    """A sweep and its finished runs.

    Raises:
        SettingError: the folder is no sweep's, none of its runs has finished, or runs were kept by its name that it
            does not have and `before` does not say what becomes of them.
    """
    found = read_runs.read_sweep(sweep)
    runs = tuple(run for run in found.runs if run.state == "finished")
    if not runs:
        raise SettingError(f"{sweep} has no finished run: there is nothing to keep")
    earlier = {path.parent.name for path in (into / found.name).glob(f"*/{METRICS}")}
    if (others := earlier - {run.path.name for run in runs}) and before is None:
        raise SettingError(
            f"{into / found.name} holds {len(others)} runs that {sweep} does not have, such as {min(others)}:"
            " give --add to keep these besides, as of a sweep shared by two machines, or --replace to do without them"
        )
    return Finished(found, runs, before == "add")


def keep(found: Finished, into: Path) -> int:
    """Copy what a reader needs to check a sweep's figures; the number of runs.

    Of each finished run that is its settings, its figures and its table by epoch; of the sweep its commands and its
    summary. What was kept of a sweep of that name before is replaced, or added to.
    """
    target = into / found.sweep.name
    mark = read_manifest(found.sweep.path) or {}
    if found.add and (earlier := read_manifest(target)):
        mark["commands"] = list(dict.fromkeys([*earlier.get("commands", []), *mark.get("commands", [])]))
    else:
        shutil.rmtree(target, ignore_errors=True)
    for run in found.runs:
        _copy(run, target / run.path.name)
    mark["planned"] = [path.parent.name.rpartition("-")[2] for path in sorted(target.glob(f"*/{METRICS}"))]
    write_whole(target / MANIFEST, json.dumps(mark, indent=2) + "\n")
    write_whole(target / CSV, tables.table_as_csv(group_runs(read_runs.read_sweep(target))))
    return len(found.runs)


def _copy(run: read_runs.RunRecord, into: Path) -> None:
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for file in (run.path / name for name in (CONFIG, METRICS, TABLE)):
        if file.is_file():
            shutil.copyfile(file, into / file.name)


def kept(folder: Path) -> list[read_runs.SweepRecord]:
    """All sweeps that were kept, by name."""
    return [read_runs.read_sweep(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}"))]

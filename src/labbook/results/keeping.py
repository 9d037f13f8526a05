"""The figures of a sweep without its weights, logs and pictures."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from labbook.errors import SettingError
from labbook.files import write_whole
from labbook.report import reading, tables
from labbook.report.grouping import group
from labbook.report.page import CSV
from labbook.runs import CONFIG, METRICS, TABLE
from labbook.sweeps.folder import MARK, read_mark


class Finished(NamedTuple):
    """A sweep that can be kept."""

    sweep: reading.Sweep
    runs: tuple[reading.Run, ...]


def finished(sweep: Path, into: Path, replace: bool = False) -> Finished:
    """A sweep and its finished runs.

    Raises:
        SettingError: the folder is no sweep's, none of its runs has finished, or runs were kept by its name that it
            does not have, which only `replace` gives up.
    """
    found = reading.read(sweep)
    runs = tuple(run for run in found.runs if run.state == "finished")
    if not runs:
        raise SettingError(f"{sweep} has no finished run: there is nothing to keep")
    before = {path.parent.name for path in (into / found.name).glob(f"*/{METRICS}")}
    if (lost := before - {run.path.name for run in runs}) and not replace:
        raise SettingError(
            f"{into / found.name} holds {len(lost)} runs that {sweep} does not have, such as {min(lost)}:"
            " give --replace to do without them"
        )
    return Finished(found, runs)


def keep(found: Finished, into: Path) -> int:
    """Copy what a reader needs to check a sweep's figures; the number of runs.

    Of each finished run that is its settings, its figures and its table by epoch; of the sweep its commands and its
    summary. What was kept of a sweep of that name before is replaced.
    """
    target = into / found.sweep.name
    shutil.rmtree(target, ignore_errors=True)
    for run in found.runs:
        folder = target / run.path.name
        folder.mkdir(parents=True)
        for file in (run.path / name for name in (CONFIG, METRICS, TABLE)):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
    mark = read_mark(found.sweep.path) or {}
    mark["planned"] = [run.path.name.rpartition("-")[2] for run in found.runs]
    write_whole(target / MARK, json.dumps(mark, indent=2) + "\n")
    write_whole(target / CSV, tables.as_csv(group(reading.read(target))))
    return len(found.runs)


def kept(folder: Path) -> list[reading.Sweep]:
    """All sweeps that were kept, by name."""
    return [reading.read(path.parent) for path in sorted(folder.glob(f"*/{MARK}"))]

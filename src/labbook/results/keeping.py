"""The figures of a sweep without its weights, logs and pictures."""

import json
import shutil
from pathlib import Path

from labbook.errors import SettingError
from labbook.files import write_whole
from labbook.report import reading, tables
from labbook.report.grouping import group
from labbook.report.page import CSV
from labbook.runs import CONFIG, METRICS, TABLE
from labbook.sweeps.folder import MARK, read_mark


def keep(sweep: Path, into: Path) -> int:
    """Copy what a reader needs to check a sweep's figures; the number of runs.

    Of each finished run that is its settings, its figures and its table by epoch; of the sweep its commands and its
    summary. What was kept of a sweep of that name before is replaced.

    Raises:
        SettingError: the folder is no sweep's, or none of its runs has finished.
    """
    found = reading.read(sweep)
    finished = [run for run in found.runs if run.state == "finished"]
    if not finished:
        raise SettingError(f"{sweep} has no finished run: there is nothing to keep")
    target = into / found.name
    shutil.rmtree(target, ignore_errors=True)
    for run in finished:
        folder = target / run.path.name
        folder.mkdir(parents=True)
        for file in (run.path / name for name in (CONFIG, METRICS, TABLE)):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
    mark = read_mark(sweep) or {}
    mark["planned"] = [run.path.name.rpartition("-")[2] for run in finished]
    write_whole(target / MARK, json.dumps(mark, indent=2) + "\n")
    write_whole(target / CSV, tables.as_csv(group(reading.read(target))))
    return len(finished)


def kept(folder: Path) -> list[reading.Sweep]:
    """All sweeps that were kept, by name."""
    return [reading.read(path.parent) for path in sorted(folder.glob(f"*/{MARK}"))]

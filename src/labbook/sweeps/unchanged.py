"""Whether the images of a sweep's runs are unchanged: one table never mixes two data sets."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from labbook import lazy_imports
from labbook.config.schema import with_schema_types
from labbook.data.data_record import KEY, DataRecord
from labbook.errors import SettingError
from labbook.runs.resume import read_run_config
from labbook.runs.run_folder import CHECKPOINTS, CONFIG, LAST
from labbook.runs.run_id import OWN_DATA, is_published
from labbook.runs.status import WITH_FIGURES
from labbook.runs.sweep_folder import SweepFolder


def check_data(sweep: SweepFolder) -> None:
    """Refuse to extend a sweep whose runs were trained or tested on other images.

    Runs with the same data in the same place are checked once; missing data sets are not checked.
    """
    seen: set[str] = set()
    for name in sweep.runs():
        state, metrics = sweep.state(name)
        path = sweep.path / name
        if state not in WITH_FIGURES and not (path / CHECKPOINTS / LAST).is_file():
            continue
        told = json.dumps([metrics.get(key) for key in (KEY, "test_set", "class_names")])
        if told not in seen:
            seen.add(told)
            if changes := data_changes(path, metrics):
                raise SettingError(
                    f"the data changed since {path} was trained ({'; '.join(changes)}), so its metrics cannot be"
                    " compared with those of new runs: use sweep.name=NEW for a new sweep, or sweep.rerun=true"
                    " to start this one again"
                )


def data_changes(path: Path, metrics: dict[str, Any]) -> list[str]:
    """How the data of a run differs from its record; empty if the data cannot be read."""
    record = DataRecord.read(metrics)
    with suppress(SettingError):
        config = with_schema_types(read_run_config(path), f"{path}/{CONFIG}")
        published = is_published(config.data) and OWN_DATA not in config.notes
        if (record.parts or record.class_names) and not published:
            with lazy_imports.import_torch_stack():
                from labbook import experiment
                from labbook.training import capabilities

            data = experiment.build_data(config)
            if capabilities.is_image_data(data) and data.at_hand():
                data.setup()
                return record.changes(DataRecord.of(data))
    return []

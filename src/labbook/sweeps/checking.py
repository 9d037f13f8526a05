"""Checks of a job's configuration before its run starts."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from labbook import lazy_imports
from labbook.config.schema import with_schema_types
from labbook.data.data_record import KEY, DataRecord
from labbook.errors import SettingError
from labbook.runs import weights_source
from labbook.runs.resume import read_run_config
from labbook.runs.run_folder import CHECKPOINTS, CONFIG, LAST, WITH_FIGURES
from labbook.runs.run_id import OWN_DATA, is_published
from labbook.runs.sweep_folder import SweepFolder
from labbook.training import hardware

ONE_PROCESS = ("auto", "single_device", "single_xla", "single_tpu")  # Lightning's strategies with one process
HOW = "a run of a sweep (-m) is one process on one device: use trainer.devices=1, or start the runs one by one"


def check_job(config: DictConfig) -> None:
    check_one_process_per_run(config.trainer)
    if config.data.get("batch_size") == "auto":
        raise SettingError(
            "data.batch_size=auto is not for sweeps, because their runs must be comparable: start one run with it"
            " (without -m), and use its number, data.batch_size=N"
        )
    with lazy_imports.import_torch_stack():  # takes seconds, which a finished sweep does not need
        from labbook import experiment

    experiment.check_experiment(config)
    weights_source.check_weights_file(experiment.settings_of_any_model(config).get("weights"))


def check_one_process_per_run(trainer: Mapping[str, Any], how: str = HOW) -> None:
    """Refuse settings that start several processes per run on this machine, in any of Lightning's spellings."""
    strategy = trainer.get("strategy") or "auto"
    if strategy not in ONE_PROCESS:
        raise SettingError(f"trainer.strategy={strategy}: {how} (trainer=auto)")
    if trainer.get("num_nodes") not in (None, 1):
        raise SettingError(f"trainer.num_nodes={trainer['num_nodes']}: {how} (trainer=auto)")
    devices = trainer.get("devices", "auto")
    if (count := hardware.device_count(devices, str(trainer.get("accelerator") or "auto"))) > 1:
        raise SettingError(f"trainer.devices={devices} is {count} devices: {how}")


def depends_on_surroundings(config: DictConfig) -> bool:
    """Whether a configuration uses the environment or the clock, which may change."""
    text = json.dumps(OmegaConf.to_container(config, resolve=False), default=str)
    return any(f"${{{resolver}" in text for resolver in ("oc.env", "now", "hydra", "env"))


def has_setting(config: DictConfig, name: str) -> bool:
    """Whether the choice of a group has a setting, in its file or as a parameter of its target."""
    group, _, inside = name.partition(".")
    key = inside.partition(".")[0]
    node: Any = config.get(group)
    if not isinstance(node, DictConfig) or key in node:
        return True
    with lazy_imports.import_torch_stack():
        from labbook.config import instantiate

    target = instantiate.resolve_target(node._target_, group) if "_target_" in node else None
    return target is None or key in instantiate.target_parameters(target)[0]


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
        recorded = json.dumps([metrics.get(key) for key in (KEY, "test_set", "class_names")])
        if recorded not in seen:
            seen.add(recorded)
            if changes := data_changes(path, metrics):
                raise SettingError(
                    f"the data changed since {path} was trained ({'; '.join(changes)}), so new runs cannot be compared"
                    " with it: use sweep.name=NEW for a new sweep, or sweep.rerun=true to repeat this one"
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

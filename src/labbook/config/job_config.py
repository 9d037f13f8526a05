"""The configuration of a job: its group choices, and checks that need them. Imports no torch."""

from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from labbook.config import renames
from labbook.config.schema import FILES, GROUPS, NODES, PAIRS, SECTIONS, TrainConfig, check_root
from labbook.config.several import SEVERAL, choices_of_group, separate_nodes
from labbook.config.unknown_keys import OF_GROUPS, check_keys, split_choice, unknown_setting_message
from labbook.errors import SettingError


def job_config(config: DictConfig) -> DictConfig:
    """The configuration of one job, checked before slow imports, and completed by `with_group_choices`."""
    chosen = chosen_groups(HydraConfig.get())
    if chosen.get(PAIRS) not in GlobalHydra.instance().config_loader().get_group_options(PAIRS):
        chosen.pop(PAIRS, None)  # most pairs have no file
    if config.config_groups:
        raise SettingError(f"config_groups is set by the program: {OF_GROUPS}")
    check_root_names(config)
    check_root(config)
    if not config.sweep.job.folder:  # the runs of a sweep were checked before the first one started
        check_run_mode(config, chosen.get("sweep"))
        check_added_keys(config, chosen)
    return with_group_choices(config, chosen)


def with_group_choices(config: DictConfig, chosen: dict[str, str]) -> DictConfig:
    """The configuration with the choices noted in `config_groups`, and each of several loggers in its own node."""
    with open_dict(config):
        config.config_groups = {group: chosen[group] for group in (*GROUPS, PAIRS) if group in chosen}
        if (loggers := chosen.get("logger", "")).startswith("["):
            own = {name: reference_config((f"logger={name}",)).logger for name in split_choice(loggers)}
            config.logger = separate_nodes(config.logger, reference_config((f"logger={loggers}",)).logger, own)
    return config


def chosen_groups(hydra_config: Any) -> dict[str, str]:
    """The choice of each group, from Hydra's node; for several choices, which Hydra does not note, the list."""
    chosen = {group: choice for group, choice in hydra_config.runtime.choices.items() if choice not in (None, "null")}
    for group in SEVERAL:
        if group not in chosen and (names := choices_of_group(hydra_config, group)):
            chosen[group] = f"[{','.join(names)}]"
    return chosen


def task_overrides() -> list[str]:
    """The overrides of this run's command, with `${...}` as typed."""
    overrides: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return list(overrides)


def config_sources(hydra_config: Any) -> list[Path]:
    """The folders that settings are read from, from Hydra's node."""
    return [Path(source.path) for source in hydra_config.runtime.config_sources if source.schema == "file"]


def check_root_names(config: DictConfig) -> None:
    """Refuse names that the root or a section does not declare, as in +lr=0.1 or ++task.mixupp=0.2."""
    known = [item.name for item in fields(TrainConfig)]
    for name in map(str, config):
        if name not in known:
            own = OmegaConf.masked_copy(config, known)
            unknown = f"{unknown_setting_message(name, own)}; for your own notes use notes.{name}=VALUE"
            raise SettingError(renames.instead(name) or unknown)
    for section, declared in SECTIONS.items():
        known = [item.name for item in fields(declared)]
        for key in map(str, config[section]):
            if key not in known:
                raise SettingError(unknown_setting_message(f"{section}.{key}", OmegaConf.structured(TrainConfig)))


def check_run_mode(config: DictConfig, preset: str | None) -> None:
    """Refuse settings that only a sweep, or only a single run, can have."""
    sweeping = HydraConfig.get().mode is RunMode.MULTIRUN
    if config.resume == "":
        raise SettingError("resume= is empty: use the run folder, which the last line of a run shows")
    if sweeping and config.resume:
        raise SettingError("resume= is for one run; to resume a sweep (-m), repeat its command")
    if preset and not sweeping:
        raise SettingError(f"sweep={preset} makes several runs: add -m")
    if config.seeds > 1 and not sweeping:
        raise SettingError(f"seeds={config.seeds} makes several runs: add -m, or use seed=N for another seed")
    folds, fold = config.folds, config.fold
    if folds == 1:
        raise SettingError("folds=1 leaves nothing to train on: use folds=2 or more; folds=0 is off")
    if fold > folds:
        raise SettingError(f"fold={fold} is one of {folds} folds: use folds=N and a fold from 1 to N")
    if folds and not (fold or sweeping):  # a sweep adds `fold` itself
        raise SettingError(f"folds={folds} makes several runs: add -m, or use fold=N for one fold, from 1 to {folds}")


def check_added_keys(config: DictConfig, chosen: dict[str, str]) -> None:
    """Refuse keys that `FILES` add to a group whose own file does not have them."""
    files = [f"{group}={chosen[group]}" for group in (*FILES, PAIRS) if group in chosen]
    if files:
        added = {"notes", *(item.lstrip("+").split("=")[0] for item in task_overrides() if item.startswith("+"))}
        groups = [f"{group}={chosen[group]}" for group in NODES if group in chosen]
        check_keys(config, reference_config(tuple(groups)), added, ", ".join(files))


@cache
def reference_config(groups: tuple[str, ...]) -> DictConfig:
    return hydra.compose("train", overrides=[*groups, f"{PAIRS}=_"])

"""The typed root of the configuration. Imports no torch, so that a wrong setting is refused at once."""

import math
import operator
import re
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from labbook.config import published, renames
from labbook.config.path_rules import check_root_paths
from labbook.config.several import SEVERAL, choices_of_group, list_choice_names, separate_nodes
from labbook.config.unknown_keys import FILES as FILES
from labbook.config.unknown_keys import GROUPS as GROUPS
from labbook.config.unknown_keys import PAIRS, check_keys, unknown_setting_message
from labbook.errors import SettingError, first_line

OPTIONAL = ("scheduler", "logger", "callbacks", "metrics")  # groups that may be null

# Words in the name of a metric that is the better the smaller it is.
FALLING = re.compile(r"loss|error|(?<![a-z])(r?mse|mae|nll|bce|kl|fid|perplexity|ppl|wer|cer|brier|hinge)(?![a-z])")

Mode = Literal["auto", "min", "max"]


def lower_is_better(name: str, mode: str = "auto") -> bool:
    """Whether smaller values of a metric are better; `auto`: from its name."""
    return mode == "min" or (mode == "auto" and FALLING.search(name.lower()) is not None)


def held_out_name(name: str, validation: str) -> str:
    """The metric used for `name` in a selection: never one of the test set."""
    return name.replace("val/", "train/") if validation == "test" else name


# Metadata of a root field that is newer than version 0.1: the value of all older runs. Runs with this value keep their
# ID. Not needed for falsy values.
FORMERLY = "formerly"
DEFAULT_LOSS = "torch.nn.CrossEntropyLoss"


def bounded(default: Any, **bounds: float) -> Any:
    """A field with limits: `ge` (at least), `gt` (more than), `le` (at most), `lt` (less than); or with `FORMERLY`."""
    return field(default=default, metadata=bounds)


@dataclass
class TaskConfig:
    """How every architecture is trained: the options of `labbook.training.task.Task`, and initial weights."""

    init: Literal["torch", "glorot", "he"] = "torch"
    label_smoothing: float = bounded(0.0, ge=0, lt=1)
    mixup: float = bounded(0.0, ge=0)
    cutmix: float = bounded(0.0, ge=0)
    sam: float = bounded(0.0, ge=0)
    norm_bias_lr_factor: float = bounded(1.0, gt=0)
    layer_lr_decay: float = bounded(1.0, gt=0, le=1, formerly=1.0)
    backbone_lr_factor: float = bounded(1.0, gt=0, formerly=1.0)
    tta: Literal["none", "mirror", "mirror_translate"] = "none"


@dataclass
class CheckpointConfig:
    """When the state of a run is saved."""

    every_minutes: float = bounded(10.0, gt=0)


@dataclass
class JobConfig:
    """What the program sets for each run of a sweep."""

    folder: str | None = None  # the run's folder, in the sweep's
    launch: str | None = None  # the command that started it, so that one failure can stop all its runs
    label: str | None = None  # the number of the run, and of how many
    parallel: bool = False  # other runs print to the same terminal
    trial: int | None = None  # of a search


@dataclass
class SweepConfig:
    """How the runs of `-m` are kept together and resumed."""

    name: str | None = None
    rerun: bool = False
    retry_failed: bool = True
    max_failures: int = bounded(0, ge=0)
    on_error: Literal["continue", "stop"] = "continue"
    n_trials: int = bounded(20, ge=1)
    prune: bool = True
    job: JobConfig = field(default_factory=JobConfig)


@dataclass
class TrainConfig:
    """The root of `configs/train.yaml`."""

    model: Any = MISSING
    data: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = None
    loss: Any = field(
        default_factory=lambda: {"_target_": DEFAULT_LOSS, "class_weights": None},  # of any loss
        metadata={FORMERLY: {"_target_": DEFAULT_LOSS}},
    )
    trainer: Any = MISSING
    logger: Any = None
    callbacks: Any = None
    metrics: Any = field(default_factory=dict)

    seed: int = bounded(42, ge=0, le=2**32 - 1)  # NumPy's limits
    seeds: int = bounded(1, ge=1)
    folds: int = bounded(0, ge=0)
    fold: int = bounded(0, ge=0)
    epochs: int = bounded(30, ge=1)
    task: TaskConfig = field(default_factory=TaskConfig)
    test_checkpoint: Literal["best", "last"] = "best"
    evaluate_train: bool = False
    compile: bool = False
    channels_last: bool | None = None
    reuse_freed_memory: bool = True
    log_dir: str = "logs"
    resume: str | None = None
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    objective: str = "val/acc"
    objective_mode: Mode = field(default="auto", metadata={FORMERLY: "auto"})
    published: Any = None
    sweep: SweepConfig = field(default_factory=SweepConfig)
    notes: dict[str, Any] = field(default_factory=dict)
    config_groups: Any = field(default_factory=dict)


# The settings of the root that are sections.
SECTIONS: dict[str, type[Any]] = {
    item.name: item.type for item in fields(TrainConfig) if isinstance(item.type, type) and is_dataclass(item.type)
}


@cache
def register_schema() -> None:
    schema = OmegaConf.structured(TrainConfig)
    for node in (schema.notes, schema.metrics):
        OmegaConf.set_struct(node, False)  # the only ones that take new names without a +
    ConfigStore.instance().store(name="schema", node=schema, replace=True)


def check_job_config(config: DictConfig) -> DictConfig:
    """The configuration of one job, checked before slow imports.

    Also notes in `config_groups` which file of each group was used, and that of the pair of model and data.
    """
    chosen = chosen_groups(HydraConfig.get())
    if chosen.get(PAIRS) not in GlobalHydra.instance().config_loader().get_group_options(PAIRS):
        chosen.pop(PAIRS, None)  # most pairs have no file
    check_root_names(config)
    check_root(config)
    if not config.sweep.job.folder:  # the runs of a sweep were checked before the first one started
        check_run_mode(config, chosen.get("sweep"))
        check_added_keys(config, chosen)
    with open_dict(config):
        config.config_groups = {group: chosen[group] for group in (*GROUPS, PAIRS) if group in chosen}
    return with_loggers(config, chosen.get("logger"))


def chosen_groups(told: Any) -> dict[str, str]:
    """The choice of each group, from Hydra's node; for several choices, which Hydra does not note, the list."""
    chosen = {group: choice for group, choice in told.runtime.choices.items() if choice not in (None, "null")}
    for group in SEVERAL:
        if group not in chosen and (names := choices_of_group(told, group)):
            chosen[group] = f"[{','.join(names)}]"
    return chosen


def with_loggers(config: DictConfig, choice: str | None) -> DictConfig:
    """The configuration with each of several loggers in its own node: see `several.separate_nodes`."""
    if names := list_choice_names(choice):
        own = {name: reference_config((f"logger={name}",)).logger for name in dict.fromkeys(names)}
        with open_dict(config):
            config.logger = separate_nodes(config.logger, reference_config((f"logger={choice}",)).logger, own)
    return config


def task_overrides() -> list[str]:
    """The overrides of this run's command, with `${...}` as typed."""
    overrides: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return list(overrides)


def config_folders_of_run() -> list[Path]:
    """The folders of this run's settings files."""
    return [Path(source.path) for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]


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
    check_folds(config, sweeping)


def check_folds(config: DictConfig, sweeping: bool = False) -> None:
    """Refuse an invalid number of folds or fold; a sweep adds `fold` itself."""
    folds, fold = config.folds, config.fold
    if folds == 1:
        raise SettingError("folds=1 leaves nothing to train on: use folds=2 or more; folds=0 is off")
    if fold > folds:
        raise SettingError(f"fold={fold} is one of {folds} folds: use folds=N and a fold from 1 to N")
    if folds and not (fold or sweeping):
        raise SettingError(f"folds={folds} makes several runs: add -m, or use fold=N for one fold, from 1 to {folds}")


def check_added_keys(config: DictConfig, chosen: dict[str, str]) -> None:
    """Refuse keys that `FILES` add to a group whose own file does not have them."""
    files = [f"{group}={chosen[group]}" for group in (*FILES, PAIRS) if group in chosen]
    if files:
        added = {"notes", *(item.lstrip("+").split("=")[0] for item in task_overrides() if item.startswith("+"))}
        groups = [f"{group}={chosen[group]}" for group in GROUPS if group in chosen and group not in FILES]
        check_keys(config, reference_config(tuple(groups)), added, ", ".join(files))


@cache
def reference_config(groups: tuple[str, ...]) -> DictConfig:
    """The configuration of group choices alone, without the file of a pair."""
    return hydra.compose("train", overrides=[*groups, f"{PAIRS}=_"])


def check_root(config: DictConfig) -> None:
    """Refuse a root with missing values or values out of range."""
    for name in sorted(OmegaConf.missing_keys(config)):
        raise SettingError(f"{name} is not set: give {name}=VALUE")
    check_groups(config)
    check_ranges(config)
    check_objective_name(config.objective)
    check_root_paths(config)
    published.check_published(config.published)


def check_objective_name(name: str) -> None:
    """Refuse to select by the test set."""
    if re.match(r"test($|[^a-z])", name):
        raise SettingError(f"objective={name}: the test set must not select anything: use a validation metric")


def with_schema_types(config: DictConfig, origin: str) -> DictConfig:
    """A configuration read from a file, with the types of the schema."""
    schema = OmegaConf.structured(TrainConfig)
    OmegaConf.set_struct(schema, False)
    try:
        whole = OmegaConf.merge(schema, config)
    except OmegaConfBaseException as error:
        raise SettingError(f"{origin}: {error.full_key}: {first_line(error)}") from error
    assert isinstance(whole, DictConfig)
    check_root(whole)
    return whole


def check_ranges(config: DictConfig, node: type[Any] = TrainConfig, prefix: str = "") -> None:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    for item in fields(node):
        value = config[item.name]
        if isinstance(value, float) and math.isinf(value):
            raise SettingError(f"{prefix}{item.name} must be a finite number, not {value}")
        for bound, limit in item.metadata.items():
            if bound in words and not getattr(operator, bound)(value, limit):
                raise SettingError(f"{prefix}{item.name} must be {words[bound]} {limit}, not {value}")
        if isinstance(item.type, type) and is_dataclass(item.type):
            check_ranges(value, item.type, f"{prefix}{item.name}.")


def check_groups(config: DictConfig) -> None:
    """Refuse a group that has no settings, as in an experiment's `model: mlp`."""
    for group in (group for group in GROUPS if group not in FILES):
        node = config[group]
        whole = isinstance(node, DictConfig) and "_target_" in node
        if not (whole or (group in OPTIONAL and (node is None or isinstance(node, DictConfig)))):
            how = f"{group}=CHOICE on the command line, or '- override /{group}: CHOICE' in a file's defaults"
            raise SettingError(f"{group} must be one of its choices and not {node}: write {how}")

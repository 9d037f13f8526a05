"""The typed root of the configuration. Imports no torch, so that a wrong setting is refused at once."""

import math
import operator
import re
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from labbook.config import published
from labbook.config.path_rules import check_local_path, check_name
from labbook.errors import SettingError, first_line

NODES = ("model", "data", "optimizer", "scheduler", "loss", "trainer", "logger", "callbacks", "metrics")
FILES = ("experiment", "debug", "sweep")  # groups whose files have settings of the root
GROUPS = (*NODES, *FILES)
# Groups that older runs do not name, and the choice of these runs.
LATER_GROUPS = {"loss": "cross_entropy", "metrics": "default"}
PAIRS = "model_data"  # files called MODEL_DATA, which are used with their two choices
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

    model: Any = field(default_factory=lambda: {"weights": None, "freeze": None})  # of any network
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
    threads: int | None = bounded(None, ge=1)
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


def check_root(config: DictConfig) -> None:
    """Refuse a root with missing values or values out of range."""
    for name in sorted(OmegaConf.missing_keys(config)):
        raise SettingError(f"{name} is not set: give {name}=VALUE")
    check_group_nodes(config)
    check_ranges(config)
    if re.match(r"test($|[^a-z])", config.objective):
        raise SettingError(
            f"objective={config.objective}: the test set must not select anything: use a validation metric"
        )
    check_local_path("log_dir", config.log_dir)
    for name in ("sweep.name", "sweep.job.folder", "sweep.job.launch"):
        if (value := OmegaConf.select(config, name)) is not None:
            check_name(name, value)
    published.check_published(config.published)


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
            if bound in words and value is not None and not getattr(operator, bound)(value, limit):
                raise SettingError(f"{prefix}{item.name} must be {words[bound]} {limit}, not {value}")
        if isinstance(item.type, type) and is_dataclass(item.type):
            check_ranges(value, item.type, f"{prefix}{item.name}.")


def check_group_nodes(config: DictConfig) -> None:
    """Refuse a group that has no settings, as in an experiment's `model: mlp`."""
    for group in NODES:
        node = config[group]
        whole = isinstance(node, DictConfig) and "_target_" in node
        if not (whole or (group in OPTIONAL and (node is None or isinstance(node, DictConfig)))):
            how = f"{group}=CHOICE on the command line, or '- override /{group}: CHOICE' in a file's defaults"
            raise SettingError(f"{group} must be one of its choices and not {node}: write {how}")

"""The typed root of the configuration; nothing here imports torch, so that a wrong setting is refused at once."""

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from labbook.errors import SettingError, choices

GROUPS = ("model", "data", "optimizer", "scheduler", "trainer", "logger", "callbacks", "experiment", "debug")

# What a configuration may name in `_target_`. Whole packages would let it reach torch.load or torch.hub.
EXECUTION_WHITELIST = (
    "labbook.callbacks.*",
    "labbook.data.*",
    "labbook.loggers.*",
    "labbook.models.*",
    "labbook.schedulers.*",
    "pytorch_lightning.Trainer",
    "pytorch_lightning.callbacks.*",
    "pytorch_lightning.loggers.*",
    "pytorch_lightning.profilers.*",
    "torch.optim.*",
    "torchmetrics.*",
    "torchvision.models.*",
)


def ranged(default: Any, **bounds: float) -> Any:
    """A field with limits: `ge` (at least), `gt` (more than), `lt` (less than)."""
    return field(default=default, metadata=bounds)


@dataclass
class TaskConfig:
    """How every architecture is trained: the options of `labbook.models.classifier.Task`."""

    label_smoothing: float = ranged(0.0, ge=0, lt=1)


@dataclass
class CheckpointConfig:
    """When the state of a run is saved."""

    every_minutes: float = ranged(10.0, gt=0)


@dataclass
class TrainConfig:
    """The root of `configs/train.yaml`."""

    model: Any = MISSING
    data: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = None
    trainer: Any = MISSING
    logger: Any = None
    callbacks: Any = None

    seed: int = ranged(42, ge=0)
    epochs: int = ranged(30, ge=1)
    task: TaskConfig = field(default_factory=TaskConfig)
    test_on: Literal["best", "last"] = "best"
    train_acc_eval: bool = False
    compile: bool = False
    channels_last: bool | None = None
    log_dir: str = "logs"
    resume: str | None = None
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    objective: str = "val/acc"
    published: Any = None
    choices: Any = field(default_factory=dict)


def register() -> None:
    """Make the schema known to Hydra under the name that configs/train.yaml starts from."""
    ConfigStore.instance().store(name="schema", node=TrainConfig)


def check_ranges(config: DictConfig, node: type[Any] = TrainConfig, prefix: str = "") -> None:
    """Refuse root settings that are out of range.

    Raises:
        SettingError: naming the setting, its limit and its value.
    """
    words = {"ge": ("at least", "__ge__"), "gt": ("more than", "__gt__"), "lt": ("less than", "__lt__")}
    for item in fields(node):
        value = config[item.name]
        for bound, limit in item.metadata.items():
            word, compare = words[bound]
            if not getattr(float(value), compare)(float(limit)):
                raise SettingError(f"{prefix}{item.name} must be {word} {limit}, not {value}")
        if isinstance(item.type, type) and is_dataclass(item.type):
            check_ranges(value, item.type, f"{prefix}{item.name}.")


def unknown_keys(config: Any, reference: Any, prefix: str = "") -> list[str]:
    """Dotted names in `config` that `reference` does not have; nodes with another `_target_` are not compared."""
    if not isinstance(config, dict) or not isinstance(reference, dict):
        return []
    if config.get("_target_") != reference.get("_target_"):
        return []
    unknown = []
    for key, value in config.items():
        if key not in reference:
            unknown.append(f"{prefix}{key}")
        else:
            unknown += unknown_keys(value, reference[key], f"{prefix}{key}.")
    return unknown


def check_keys(config: DictConfig, reference: DictConfig, added: set[str]) -> None:
    """Refuse keys that an experiment or debug file adds to a group without the group's own file knowing them.

    Hydra guards the command line itself, but merges files without a question. `reference` is the configuration
    without those files, `added` the names that the command line added on purpose with a leading `+`.

    Raises:
        SettingError: naming the key, the nearest spelling and the valid keys beside it.
    """
    plain = OmegaConf.to_container(config, resolve=False)
    known = OmegaConf.to_container(reference, resolve=False)
    for name in unknown_keys(plain, known):
        if any(name == key or name.startswith(f"{key}.") for key in added) or name.startswith("published."):
            continue
        parent, _, key = name.rpartition(".")
        beside = OmegaConf.select(reference, parent) if parent else reference
        raise SettingError(f"{name} is no setting; {choices(key, visible(beside), 'settings here')}")


def visible(node: Any) -> list[str]:
    """The keys of a node that a user may set."""
    return [str(key) for key in node if not str(key).startswith("_")] if isinstance(node, DictConfig) else []

"""The names of settings: which are known, and errors for others. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from labbook.config import renames, vocabulary
from labbook.config.hydra_internals import node_of
from labbook.config.schema import GROUPS
from labbook.errors import SettingError, list_choices

NOTES = {"config_groups", "sweep.job"}  # written into a configuration by the program
OF_GROUPS = "choose an option by its group, as data=mnist"  # instead of config_groups

# Arguments of the Trainer that the program sets or that would break a run's records, and what to use instead.
OF_TRAINER = {
    "max_epochs": "use epochs=N",
    **dict.fromkeys(
        ("max_steps", "max_time"), "use epochs=N, and trainer.limit_train_batches=N for a part of each epoch"
    ),
    "val_check_interval": "a run validates after each epoch: use trainer.check_val_every_n_epoch=N",
    "overfit_batches": "use debug=overfit, or data.limit=N",
    "fast_dev_run": "use debug=fast",
    "enable_checkpointing": "a run always saves its state: use checkpoint.every_minutes=N",
    "reload_dataloaders_every_n_epochs": "the data is loaded in each epoch: leave it out",
    "limit_predict_batches": "a training makes no predictions: leave it out",
    "callbacks": "use the group callbacks",
    "logger": "use the group logger",
    "default_root_dir": "use log_dir=FOLDER",
    "enable_progress_bar": "use callbacks.progress.bar=false",
    "benchmark": "it is on unless trainer.deterministic=true",
    **dict.fromkeys(
        (
            *("plugins", "enable_model_summary", "num_sanity_val_steps", "use_distributed_sampler"),
            *("barebones", "model_registry", "enable_autolog_hparams"),
        ),
        "leave it out",
    ),
}


def split_choice(choice: str) -> list[str]:
    """The names in a choice of a group: one, or several as in [ema,early_stopping]."""
    return choice.strip("[]").split(",")


def flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings of a plain configuration by their dotted names."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def unknown_keys(config: Any, reference: Any, prefix: str = "") -> list[str]:
    """Dotted names in `config` that `reference` does not have; nodes with another `_target_` are not compared.

    A whole node with a `_target_` may be new, such as another callback.
    """
    if not isinstance(config, dict) or not isinstance(reference, dict):
        return []
    if config.get("_target_") != reference.get("_target_"):
        return []
    unknown = []
    for key, value in config.items():
        if key in reference:
            unknown += unknown_keys(value, reference[key], f"{prefix}{key}.")
        elif not (isinstance(value, dict) and "_target_" in value):
            unknown.append(f"{prefix}{key}")
    return unknown


def check_keys(config: DictConfig, reference: DictConfig, added: set[str], files: str) -> None:
    """Refuse keys that an experiment or debug file adds to a group whose own file does not have them.

    Hydra checks the command line, but merges files without a check. `reference` is the configuration without those
    `files`, `added` the names that the command line added with a `+`.
    """
    plain = OmegaConf.to_container(config, resolve=False)
    known = OmegaConf.to_container(reference, resolve=False)
    for name in unknown_keys(plain, known):
        if not any(f"{name}.".startswith(f"{key}.") or key.startswith(f"{name}.") for key in added):
            raise SettingError(f"{files}: {unknown_setting_message(name, reference)}")


def unknown_setting_message(name: str, reference: DictConfig) -> str:
    """The error for an unknown dotted name: the setting that is meant, and all that `reference` has there.

    That is one of the same name elsewhere, such as optimizer.lr for lr, what other programs call it, or the nearest
    spelling.
    """
    if renamed := renames.instead(name):
        return renamed
    parent, _, key = name.rpartition(".")
    if parent == "trainer" and key in OF_TRAINER:
        return f"{name} is set by the program: {OF_TRAINER[key]}"
    beside = set(user_keys(OmegaConf.select(reference, parent))) if parent else {*user_keys(reference), *GROUPS} - NOTES
    meant, why_not = suggest_settings(key, reference)
    none = f"{name} is not a setting" + (f", as {why_not}" if why_not else "")
    return f"{none}; {list_choices('' if why_not else key, beside, 'settings here', ' or '.join(meant))}"


def null_parent_message(name: str, reference: DictConfig) -> str:
    """The error for a name inside a setting that is null, as data.sampler._target_; empty for others."""
    parent, _, key = name.rpartition(".")
    if "." not in parent or not is_setting(parent, reference) or OmegaConf.select(reference, parent) is not None:
        return ""
    return f'{parent} is null and has no settings: write +{parent}.{key}=VALUE, or "{parent}={{{key}: VALUE}}"'


def suggest_settings(key: str, reference: DictConfig) -> tuple[list[str], str]:
    """The settings that a word may stand for, or the reason why there is none."""
    if found := find_key(key, reference):
        return found, ""
    others = vocabulary.OURS.get(vocabulary.last_word(key), ())
    here = [name for name in others if is_setting(name, reference)]
    elsewhere = [f"{name} of another {name.partition('.')[0]}" for name in others[:1]]
    return here or elsewhere, vocabulary.NOT_HERE.get(vocabulary.last_word(key), "")


def is_setting(name: str, reference: DictConfig) -> bool:
    """Whether `reference` has a setting, or a group of that name; always for a choice with its group."""
    parent, _, key = name.rpartition(".")
    return (
        "=" in name or name in GROUPS or key in user_keys(OmegaConf.select(reference, parent) if parent else reference)
    )


def find_key(key: str, node: Any, prefix: str = "") -> list[str]:
    found = []
    for name in user_keys(node):
        if f"{prefix}{name}" in NOTES:
            continue
        found += [f"{prefix}{name}"] if name == key else []
        found += find_key(key, node_of(node, name), f"{prefix}{name}.")
    return found


def user_keys(node: Any) -> list[str]:
    """The keys of a node that a user may set."""
    return [str(key) for key in node if not str(key).startswith("_")] if isinstance(node, DictConfig) else []

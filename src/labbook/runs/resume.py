"""Resume a run: read its configuration, and check the new settings. Imports no torch."""

import io
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from labbook.config import renames
from labbook.config.arguments import normalize_overrides
from labbook.config.path_rules import check_local_path, check_symlinks
from labbook.config.schema import NODES
from labbook.config.several import expand_setting_name
from labbook.config.unknown_keys import find_key, split_choice, user_keys
from labbook.config.untrusted import check_yaml_form, read_settings_file
from labbook.config.vocabulary import override_value
from labbook.errors import SettingError, list_choices
from labbook.runs.run_folder import CHECKPOINTS, CONFIG, LAST, TABLE, read_metrics
from labbook.runs.run_id import result_callbacks

# Settings that a resumed run may change.
CHANGEABLE = (
    *("epochs", "trainer", "compile", "channels_last", "reuse_freed_memory", "threads"),
    *("test_checkpoint", "evaluate_train"),
    *("logger", "callbacks", "checkpoint", "published", "notes", "data.root", "data.cache_dir", "data.on_device"),
)
# Settings that change the number of steps per epoch, and their defaults.
COUNTING = {"trainer.accumulate_grad_batches": 1, "trainer.limit_train_batches": 1.0}


def read_run_config(path: Path) -> DictConfig:
    """The configuration of a finished or interrupted run."""
    check_local_path("the run", path)
    file = path / CONFIG
    if not file.is_file():
        if runs := sorted(path.glob(f"*/{CONFIG}")):
            raise SettingError(f"{path} is not a run folder but has {len(runs)} in it, such as {runs[-1].parent.name}")
        above = next((folder for folder in path.parents if (folder / CONFIG).is_file()), None)
        if path.exists() and above:
            raise SettingError(f"{path} is inside a run folder: use {above}")
        among = path.is_dir() and (path.parent.name == "runs" or path.absolute().parent.parent.name == "sweeps")
        hint = "; a run killed at its start leaves such a folder: start it again" if among else ""
        raise SettingError(f"{path} is not a run folder: it has no {CONFIG}{hint}")
    try:
        text = read_settings_file(file)
        check_yaml_form(text, str(file), resolved=True)  # as a run writes it: interpolations are not resolved again
        config = OmegaConf.load(io.StringIO(text))
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise SettingError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(config, DictConfig) or "model" not in config or "data" not in config:
        raise SettingError(f"{file} is not the configuration of a run: it has no model and data")
    plain: Any = OmegaConf.to_container(config)
    config = OmegaConf.create(renames.current(plain))
    if "sweep" in config or not isinstance(config.get("config_groups", {}), (DictConfig, dict)):
        raise SettingError(f"{file} is not as a run writes it: it has sweep, or unknown config_groups")
    return config


def add_run_choices(arguments: list[str], folders: Sequence[Path]) -> list[str]:
    """The arguments, and the run's choices for groups whose settings they name; `folders` have the group files.

    Hydra then knows callbacks.ema.decay of a run with callbacks=ema. Errors of the run are reported later.
    """
    given = dict(item.lstrip("+~").partition("=")[::2] for item in arguments)
    folder = given.get("resume", "").strip("'\"")
    named = dict.fromkeys(name.partition(".")[0] for name in given if "." in name)
    groups = [group for group in named if group in NODES and group not in given]
    if not folder or not groups:
        return arguments
    try:
        choices = read_run_config(Path(folder)).get("config_groups", {})
    except SettingError:
        return arguments
    own = {group: str(choices[group]) for group in groups if choices.get(group)}
    there = (f"{group}={choice}" for group, choice in own.items() if choice_exists(group, choice, folders))
    return [*arguments, *there]


def choice_exists(group: str, choice: str, folders: Sequence[Path]) -> bool:
    """Whether a choice, or each in a list of choices, is a file in one of the folders."""
    if not re.fullmatch(r"[\w.-]{1,100}|\[[\w.,-]{1,100}\]", choice):
        return False
    return all(any((folder / group / f"{name}.yaml").is_file() for folder in folders) for name in split_choice(choice))


def resumed_config(config: DictConfig, overrides: list[str], groups: tuple[str, ...]) -> DictConfig:
    """The configuration of the run that `config.resume` names, with the overrides that a resumed run may take."""
    path = Path(config.resume)
    asked = with_overrides(config, overrides, groups)
    check_unfinished(path, read_run_config(path), asked)
    return asked


def with_overrides(config: DictConfig, overrides: list[str], groups: tuple[str, ...]) -> DictConfig:
    """The settings of the run that `config.resume` names, finished or not, with the overrides."""
    check_local_path("resume", config.resume)
    path = Path(config.resume)
    saved = read_run_config(path)
    check_symlinks(path)
    begun = saved.copy()
    for override in overrides:
        name, _, value = override.lstrip("+~").partition("=")
        if name == "epochs" and value.startswith("+"):
            raise SettingError(f"{override}: epochs is the total number of epochs: use epochs=N")
        choice = value.replace(" ", "")  # of a list, too
        if name in groups and str(saved.config_groups.get(name)).replace(" ", "") == choice:
            continue
        if any(name == item or name.startswith(f"{item}.") for item in CHANGEABLE):
            if name in groups:
                saved.config_groups[name] = choice
            for each in expand_setting_name(name, config):
                node = OmegaConf.select(config, each)
                if each == "trainer":
                    node = merge_trainer_settings(node, saved.trainer, str(begun.config_groups.get("trainer")))
                OmegaConf.update(saved, each, node, merge=False, force_add=True)
        elif name != "resume" and (name in groups or OmegaConf.select(saved, name) != OmegaConf.select(config, name)):
            was = saved.config_groups.get(name) if name in groups else OmegaConf.select(saved, name)
            raise SettingError(
                f"{path} was started with {name}={override_value(was)}, so {override} would be another run; a resumed"
                f" run accepts new values of {', '.join(CHANGEABLE)}"
            )
    for name, usual in COUNTING.items():
        was, given = (OmegaConf.select(each, name) for each in (begun, saved))
        if repr(usual if was is None else was) != repr(usual if given is None else given):
            raise SettingError(
                f"{path} was started with {name}={override_value(was)}, and {name}={override_value(given)} would change"
                " how many steps an epoch has, which its schedule counts: leave it out, or start a new run"
            )
    saved.resume = str(path)
    return saved


def merge_trainer_settings(node: DictConfig, own: DictConfig, choice: str) -> DictConfig:
    """The settings of another trainer, with the run's own where it has none or the same as the run's `choice`.

    trainer=cpu changes the device of a run that was started with trainer.gradient_clip_val=1, and keeps the clipping.
    """
    try:
        usual = hydra.compose("train", overrides=[f"trainer={choice}"]).trainer
    except HydraException:  # a choice that was removed
        return node
    kept = {name: own[name] for name in own if name not in node or node[name] == usual.get(name)}
    merged = OmegaConf.merge(node, kept)
    assert isinstance(merged, DictConfig)
    return merged


def check_unfinished(path: Path, begun: DictConfig, asked: DictConfig) -> None:
    """Refuse to resume a run that has nothing left to train with these settings."""
    done, planned = read_metrics(path), begun.epochs
    finished = done.get("status") == "finished"
    if finished and "stopped_early" in done:
        if result_callbacks(asked.callbacks) == result_callbacks(begun.callbacks):
            raise SettingError(
                f"{path} stopped early {done['stopped_early']}: to train longer, use"
                " callbacks.early_stopping.patience=N, or callbacks=default for no early stopping"
            )
    elif finished and asked.epochs <= planned:
        raise SettingError(
            f"{path} has finished its {planned} epochs: to train longer, use a larger number, such as"
            f" epochs={2 * planned}"
        )
    if finished and not (path / CHECKPOINTS / LAST).exists():
        raise SettingError(
            f"{path} has finished and its checkpoints/last.ckpt is missing, so it cannot be trained longer"
        )
    with suppress(OSError):
        trained = len((path / TABLE).read_text(encoding="utf-8", errors="replace").splitlines()) - 1
        if asked.epochs < trained:
            raise SettingError(f"{path} was trained for {trained} epochs already, so epochs={asked.epochs} is too few")


def with_settings(config: DictConfig, settings: list[str]) -> DictConfig:
    """A run's configuration with some settings replaced, each given as `key=value`."""
    for setting in settings:
        name, equals, _ = setting.partition("=")
        node: Any = config
        for key in name.split("."):
            if not equals or not isinstance(node, DictConfig) or key not in node:
                valid = user_keys(node if isinstance(node, DictConfig) else config)
                choices = list_choices(key, valid, "settings here", " or ".join(find_key(key, config)))
                what = f"{name} is not a setting" if equals else f"{setting} is not SETTING=VALUE"
                raise SettingError(renames.instead(name) or f"{what} of this run; {choices}")
            node = node.get(key)
        if isinstance(node, DictConfig) and name in config.get("config_groups", {}):
            raise SettingError(f"{setting}: {name} stays that of the run; to change a setting use {name}.SETTING=VALUE")
    replaced = OmegaConf.merge(config, OmegaConf.from_dotlist(normalize_overrides(settings)))
    assert isinstance(replaced, DictConfig)
    return replaced

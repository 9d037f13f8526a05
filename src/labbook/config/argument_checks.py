"""Arguments that a command line must not contain, refused before Hydra reads it. Imports no torch."""

import re
from dataclasses import fields, is_dataclass

from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

from labbook.config import renames
from labbook.config import schema as settings
from labbook.config.known_settings import known_settings
from labbook.config.schema import PAIRS
from labbook.config.several import SEVERAL
from labbook.config.unknown_keys import OF_GROUPS, OF_TRAINER, split_choice, suggest_settings
from labbook.config.vocabulary import last_word
from labbook.errors import SettingError, list_choices
from labbook.lazy_imports import process_number

OWN_FOLDER = "a run creates its own folder, with config.yaml, in log_dir=FOLDER"
RUNS_FOLDER = "runs of a sweep are in log_dir=FOLDER, in sweeps/NAME with sweep.name=NAME"
BY_THE_PROGRAM = {  # settings that a command line must not have, and the reason
    "config_groups": OF_GROUPS,
    "sweep.job": "use sweep.name=NAME for a sweep's folder",
    PAIRS: "model and data select it: set the settings of its file one by one",
    **{f"trainer.{name}": instead for name, instead in OF_TRAINER.items()},
    "hydra.run": OWN_FOLDER,
    "hydra.output_subdir": OWN_FOLDER,
    "hydra.job.chdir": OWN_FOLDER,
    "hydra.sweep.subdir": RUNS_FOLDER,
}

OF_HYDRA = (  # Hydra's own options, which may be shortened
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun", "--info"),
    *("--config-path", "--config-name", "--config-dir"),
)


def check_options(arguments: list[str]) -> None:
    """Refuse settings written as options, such as --epochs=3, and options with which files could run commands."""
    for number, argument in enumerate(arguments):
        name = argument.lstrip("-").partition("=")[0]
        if argument == "-sc" or argument.startswith("--shell"):  # its bash runs `...` in values of files
            raise SettingError(f"{argument}: use make completion to install completion")
        if argument.startswith("--") and (renamed := renames.instead(name)):
            raise SettingError(renamed)
        if name != "experiment" and argument.startswith("--exp") and "--experimental-rerun".startswith(f"--{name}"):
            raise SettingError(f"{argument}: use resume=FOLDER to resume a run")
        if argument.startswith("-") and not is_hydra_option(argument, arguments[:number]):
            following = next(iter(arguments[number + 1 :]), "")
            raise SettingError(f"{argument}: {unknown_option_message(argument, following)}")


def is_hydra_option(argument: str, before: list[str]) -> bool:
    """Whether Hydra knows an option, or may take it for the value of the option before it."""
    short = re.match(r"-(h|c|p|r|m|cp|cn|cd|i|sc)\b", argument)
    long = argument.startswith("--") and any(name.startswith(argument.partition("=")[0]) for name in OF_HYDRA)
    return bool(short or long or (before and before[-1] in ("-p", "--package")))


def unknown_option_message(argument: str, following: str) -> str:
    """The error for an unknown option, with the setting that is meant, if known."""
    option, equals, value = argument.partition("=")
    if not equals:
        value = following if following and following[0] != "-" and "=" not in following else "VALUE"
    known = {*settings.GROUPS, *(item.name for item in fields(settings.TrainConfig))}
    if (name := option.removeprefix("--")).partition(".")[0] in known:
        return f"settings have no dashes: {name}={value}"
    meant, why_not = suggest_settings(last_word(option), known_settings([]))
    if why_not:
        return f"this setting does not exist: {why_not}"
    if not meant:
        return "this option does not exist: use SETTING=VALUE; --help lists the settings"
    named = (name if "=" in name else f"{name}={value}" for name in meant)
    return f"settings have no dashes: {' or '.join(named)}"


def check_single_choices(arguments: list[str]) -> None:
    for argument in arguments:
        given, _, value = argument.partition("=")
        name = given.lstrip("+")
        if name not in settings.GROUPS or not value.startswith("["):
            continue
        if name not in SEVERAL:
            raise SettingError(
                f"{argument}: {name} is one of its choices, {name}=CHOICE, or with -m each of {name}=A,B"
            )
        if "none" in split_choice(value) and value != "[none]":
            raise SettingError(f"{argument}: none excludes other choices: use {name}=none, or leave it out")
        if name != given:
            raise SettingError(f"{argument}: {name} is set without +, ++ or ~: {name}={value}")


def check_reserved_settings(arguments: list[str]) -> None:
    """Refuse settings of the program: of a sweep's runs, of other choices, Hydra's folders."""
    if process_number("LOCAL_RANK") > 0:  # the first process has checked, and Lightning adds folders
        return
    for argument in arguments:
        name = argument.lstrip("+~").partition("=")[0]
        for key, instead in BY_THE_PROGRAM.items():
            if name == key or name.startswith(f"{key}."):
                raise SettingError(f"{name} is set by the program: {instead}")
        if argument.startswith("+") and name.startswith("hydra."):
            check_hydra_setting(name)


def check_hydra_setting(name: str) -> None:
    """Refuse a setting that Hydra does not have; a launcher, a sweeper and loggers have their own."""
    parent, _, key = name.removeprefix("hydra.").rpartition(".")
    schema = OmegaConf.structured(HydraConf)
    node = OmegaConf.select(schema, parent) if parent else schema
    if isinstance(node, DictConfig) and is_dataclass(OmegaConf.get_type(node)) and key not in node:
        raise SettingError(f"{name} is not a setting; {list_choices(key, map(str, node), 'settings here')}")

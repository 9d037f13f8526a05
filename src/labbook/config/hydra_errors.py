"""What to say to what a command line must not hold, and to what Hydra makes of it. Imports no torch."""

import argparse
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import hydra
import yaml
from hydra.conf import HydraConf
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from labbook.config import renames, search_path
from labbook.config import schema as settings
from labbook.config.arguments import choice_files as choice_files
from labbook.config.arguments import wrong_type_message
from labbook.config.several import SEVERAL
from labbook.config.unknown_keys import (
    OF_TRAINER,
    PAIRS,
    is_setting,
    null_parent_message,
    suggest_settings,
    unknown_setting_message,
)
from labbook.config.untrusted import CONFIGS
from labbook.config.vocabulary import last_word
from labbook.errors import SettingError, first_line, list_choices, missing_package_message
from labbook.lazy_imports import process_number

OWN_FOLDER = "a run creates its own folder, with config.yaml, in log_dir=FOLDER"
RUNS_FOLDER = "runs of a sweep are in log_dir=FOLDER, in sweeps/NAME with sweep.name=NAME"
BY_THE_PROGRAM = {  # settings that are not for a command line, and what is
    "sweep.job": "use sweep.name=NAME for a sweep's folder",
    PAIRS: "model and data select it: set the settings of its file one by one",
    **{f"trainer.{name}": instead for name, instead in OF_TRAINER.items()},
    "hydra.run": OWN_FOLDER,
    "hydra.output_subdir": OWN_FOLDER,
    "hydra.job.chdir": OWN_FOLDER,
    "hydra.sweep.subdir": RUNS_FOLDER,
}

OF_HYDRA = (  # options of Hydra's own, which may be shortened
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun", "--info"),
    *("--config-path", "--config-name", "--config-dir"),
)


def folders_for_arguments(arguments: list[str]) -> list[Path]:
    """Where the files of groups are: those of the program, and the folder that `--config-dir` names."""
    return [*search_path.config_folders(), *config_dir_folders(arguments)]


def config_dir_folders(arguments: list[str]) -> list[Path]:
    """The folder that `--config-dir` names, if it is given."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--cfg", "-c")  # else -c would be taken for the beginning of -cd
    parser.add_argument("--config-dir", "-cd", type=Path)
    folder = parser.parse_known_args(arguments)[0].config_dir
    return [folder] if folder else []


def known_settings(arguments: list[str]) -> DictConfig:
    """The configuration that the group choices among `arguments` give, to look up valid keys in.

    Without the choices of `FILES` where their files hold what is wrong.
    """
    chosen = [
        item for item in arguments if item.partition("=")[0] in settings.GROUPS and ("," not in item or "=[" in item)
    ]
    paths = [str(folder.absolute()) for folder in config_dir_folders(arguments)]
    paths += [item.partition("=")[2].strip("[]") for item in arguments if item.startswith("hydra.searchpath=[")]
    also = [f"hydra.searchpath=[{','.join(paths)}]"] if paths else []
    plain = [item for item in chosen if item.partition("=")[0] not in settings.FILES]
    with hydra.initialize_config_dir(str(CONFIGS)):
        try:
            return hydra.compose("train", overrides=[*chosen, *also])
        except (HydraException, OmegaConfBaseException):
            return hydra.compose("train", overrides=[*plain, *also])


def explain_hydra_error(error: Exception, arguments: list[str]) -> str:
    """One sentence for what Hydra refused: the setting, and the valid choices."""
    cause = error.__cause__ or error.__context__
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if renamed := renames.instead_of_choice(group, name):
            return renamed
        own = f"; a folder of images is data=image_folder data.root={name}" if Path(name).is_dir() else ""
        return f"{group}={name} is unknown; {list_choices(name, error.options)}{own if group == 'data' else ''}"
    if isinstance(error, OverrideParseException):
        hint = (
            "write SETTING=VALUE, a list as [a,b], and values with spaces or special characters as \"SETTING='VALUE'\""
        )
        return f"cannot read '{error.override}': {hint}"
    if ambiguous := re.match(r"Ambiguous value for argument '(\S+)=(.+?)'|Sweep parameters '(\S+)=(.+?)'", str(error)):
        name, values = [part for part in ambiguous.groups() if part]
        or_list = "" if name in settings.GROUPS else f", or write {name}=[{values}] for a list"
        return f"{name}={values} gives several values: add -m to sweep over them{or_list}"
    if "does not support sweep type" in str(error):
        return "interval(...) needs a search: add hydra/sweeper=optuna, or list the values, as KEY=A,B"
    if again := re.search(
        r"Multiple values for (\w+)\.|force-add of config groups is not supported: '\+\+(\w+)", str(error)
    ):
        name = again.group(1) or again.group(2)
        return f"{name} is set without +, ++ or ~: {name}=CHOICE"
    if absent := re.match(r"Could not delete from config\. '(\S+)' does not exist", str(error)):
        return unknown_setting_message(absent[1], known_settings(arguments))
    file = re.match(r"In '(.+?)'", str(error))
    where = f"{file.group(1)}.yaml: " if file else ""
    if none := re.search(r"Could not load '(\w+)/(.+?)'", str(error)):  # in a list of choices
        group, name = none.groups()
        if renamed := renames.instead_of_choice(group, name):
            return f"{'' if where == 'train.yaml: ' else where}{renamed}"
        known = list_choices(name, (path.stem for path in choice_files(group, *folders_for_arguments(arguments))))
        return f"{'' if where == 'train.yaml: ' else where}{group}={name} is unknown; {known}"
    if no_group := re.search(r"Invalid Defaults List override '/?(\w+): ", str(error)):
        return f"{where}{no_group.group(1)} is not a group; {list_choices(no_group.group(1), settings.GROUPS)}"
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)) and cause.full_key:
        name = str(cause.full_key)
        if file and name in settings.FILES:
            return f"{where}its first line must be '# @package _global_'"
        if renamed := renames.instead(name):
            return f"{where}{renamed}"
        known_there = known_settings(arguments)
        if f"~{name}" in arguments and is_setting(name, known_there):
            return f"{name} is both set and deleted: use {name}=VALUE or ~{name}"
        if inside := null_parent_message(name, known_there):
            return f"{where}{inside}"
        others, swept = note_on_other_choices(name), note_on_swept_choices(name, arguments)
        if swept and (others or is_setting(name, known_there)):
            return f"{where}{name} is not a setting of all swept choices{others}{swept}"
        return f"{where}{unknown_setting_message(name, known_there)}{others}{swept}"
    if isinstance(cause, ValidationError) and cause.full_key:
        return f"{where}{wrong_type_message(str(cause.full_key), first_line(cause))}"
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return wrong_type_message(str(error.full_key), first_line(error))
    if isinstance(cause, OmegaConfBaseException):
        return f"{first_line(error)}: {first_line(cause)}"
    return str(error)


def note_on_other_choices(name: str) -> str:
    """What to add of a setting that other choices of its group have."""
    group, _, inside = name.partition(".")
    key = inside.partition(".")[0]
    if group not in settings.GROUPS or group in settings.FILES or not key:
        return ""
    having = [path.stem for path in choice_files(group) if key in keys_in_file(path)]
    return f"; it is a setting of {group}={', '.join(having)}" if having else ""


def keys_in_file(path: Path, seen: frozenset[Path] = frozenset()) -> set[str]:
    """The settings in a file of `configs/`, and in those that it begins with; none where it cannot be read."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return set()
    if not isinstance(content, dict) or path in seen:
        return set()
    names = [item.partition("@")[0] for item in content.get("defaults") or [] if isinstance(item, str)]
    before = (
        folder / f"{name.lstrip('/')}.yaml"
        for name in names
        for folder in (search_path.config_folders() if name.startswith("/") else [path.parent])
    )
    return set(content).union(*(keys_in_file(file, seen | {path}) for file in before)) - {"defaults"}


def note_on_swept_choices(name: str, arguments: list[str]) -> str:
    """What to add where choices are swept over, of which Hydra knows no settings before it takes each of them."""
    chosen = {group: value for group, _, value in (item.partition("=") for item in arguments)}
    swept = "sweep" in chosen or any("," in chosen.get(group, "") for group in settings.GROUPS)
    sweeping = "-m" in arguments or "--multirun" in arguments
    return f"; to set it only for the options that have it, use ++{name}=VALUE" if sweeping and swept else ""


def explain_python_error(error: Exception, arguments: list[str]) -> str | None:
    """One sentence for what Hydra lets through as an error of Python, or None where it is not known."""
    text = str(error)
    if isinstance(error, yaml.YAMLError):
        return f"a file of the configuration cannot be read: {text}"
    if isinstance(error, RuntimeError):
        return missing_launcher_message(text, arguments)
    if text.startswith("Config group override must be"):
        return not_a_choice_message(arguments)
    if text.startswith("Config group override deletion"):
        name = next((item for item in arguments if item.startswith("~")), "~")
        return f"{name} cannot be deleted: use ~SETTING or ~GROUP"
    if text.startswith("Only one of --run"):
        return "-m (a sweep), --cfg and --info cannot be combined: use one of them"
    if index := re.match(r"(?:Index|invalid literal for int\(\) with base 10:) '(.+)'", text):
        key = f".{index[1]}"
        names = (item.partition("=")[0] for item in arguments)
        if setting := next((each for each in names if key in each), None):  # else something else went wrong
            how = "set the whole list, as SETTING=[a,b], or use a position in it"
            return f"{setting}: what is before '{key}' is a list: {how}"
    return None


def missing_launcher_message(text: str, arguments: list[str]) -> str | None:
    """What to say of a launcher or a sweeper that is not there."""
    if "srun" in text:
        return "hydra/launcher=submitit_slurm: this machine has no Slurm (no srun)"
    if (missing := missing_extra(text)) is None:
        unknown = text.startswith("Unknown plugin class")
        return (
            f"{text}: hydra/launcher=CHOICE and hydra/sweeper=CHOICE must be an option that exists" if unknown else None
        )
    group, extra = missing
    return missing_package_message(
        next((item for item in arguments if item.startswith(f"{group}=")), f"{group}={extra}"), extra
    )


def not_a_choice_message(arguments: list[str]) -> str:
    """What to say of a group that is given something else than a name, such as model=null or model=3."""
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name in settings.GROUPS and not isinstance(yaml.safe_load(value), str):
            return f"{name}={value} is not a choice; {list_choices('', (path.stem for path in choice_files(name)))}"
    return "a setting has no name: use SETTING=VALUE"


def check_options(arguments: list[str]) -> None:
    """Refuse settings written as options, such as --epochs=3, and options by which files would give commands."""
    known = {*settings.GROUPS, *(item.name for item in fields(settings.TrainConfig))}
    for number, argument in enumerate(arguments):
        name, equals, value = argument.lstrip("-").partition("=")
        if argument == "-sc" or argument.startswith("--shell"):  # whose bash runs `...` in values of files
            raise SettingError(f"{argument}: use make completion to install completion")
        if argument.startswith("--") and (renamed := renames.instead(name)):
            raise SettingError(renamed)
        if argument.startswith("--") and name.partition(".")[0] in known:
            value = value if equals else next_value(arguments[number:])
            raise SettingError(f"{argument}: settings have no dashes: {name}={value}")
        if argument.startswith("--exp") and "--experimental-rerun".startswith(f"--{name}"):
            raise SettingError(f"{argument}: use resume=FOLDER to resume a run")
        if argument.startswith("-") and not is_hydra_option(argument, arguments[:number]):
            raise SettingError(
                f"{argument}: {unknown_option_message(argument, value if equals else next_value(arguments[number:]))}"
            )


def next_value(arguments: list[str]) -> str:
    """The value that follows an option, the first of `arguments`."""
    following = arguments[1:2]
    return next((value for value in following if not value.startswith("-") and "=" not in value), "VALUE")


def is_hydra_option(argument: str, before: list[str]) -> bool:
    """Whether Hydra knows an option, or may take it for the value of the one before it."""
    short = re.match(r"-(h|c|p|r|m|cp|cn|cd|i|sc)\b", argument)
    long = argument.startswith("--") and any(name.startswith(argument.partition("=")[0]) for name in OF_HYDRA)
    return bool(short or long or (before and before[-1] in ("-p", "--package")))


def unknown_option_message(argument: str, value: str) -> str:
    """What to say of an option that is none: the setting that is meant, if it is known."""
    option = argument.partition("=")[0]
    meant, why_not = suggest_settings(last_word(option), known_settings([]))
    if why_not:
        return f"this setting does not exist: {why_not}"
    if not meant:
        return "this option does not exist: use SETTING=VALUE; --help lists the settings"
    named = (name if "=" in name else f"{name}={value}" for name in meant)
    return f"settings have no dashes: {' or '.join(named)}"


def check_single_choices(arguments: list[str]) -> None:
    """Refuse several choices of a group that takes one."""
    for argument in arguments:
        given, _, value = argument.partition("=")
        name = given.lstrip("+")
        if name not in settings.GROUPS or not value.startswith("["):
            continue
        if name not in SEVERAL:
            raise SettingError(
                f"{argument}: {name} is one of its choices, {name}=CHOICE, or with -m each of {name}=A,B"
            )
        if name != given:
            raise SettingError(f"{argument}: {name} is set without +, ++ or ~: {name}={value}")


def check_reserved_settings(arguments: list[str]) -> None:
    """Refuse what the program itself sets: what a sweep tells its runs, what other choices bring, Hydra's folders."""
    if process_number("LOCAL_RANK") > 0:  # the process that began has looked, and Lightning adds folders
        return
    for argument in arguments:
        name = argument.lstrip("+~").partition("=")[0]
        for key, instead in BY_THE_PROGRAM.items():
            if name == key or name.startswith(f"{key}."):
                raise SettingError(f"{name} is set by the program: {instead}")
        if argument.startswith("+") and name.startswith("hydra."):
            check_hydra_setting(name)


def check_hydra_setting(name: str) -> None:
    """Refuse a setting that Hydra does not have; a launcher, a sweeper and what logs have some of their own."""
    parent, _, key = name.removeprefix("hydra.").rpartition(".")
    schema = OmegaConf.structured(HydraConf)
    node = OmegaConf.select(schema, parent) if parent else schema
    if isinstance(node, DictConfig) and is_dataclass(OmegaConf.get_type(node)) and key not in node:
        raise SettingError(f"{name} is not a setting; {list_choices(key, map(str, node), 'settings here')}")


def missing_extra(message: str) -> tuple[str, str] | None:
    """The group and the extra to install, from what Hydra says of a plugin that is missing; None of anything else."""
    if message.startswith("Unknown plugin class : 'labbook.sweeps.optuna_sweeper."):
        return "hydra/sweeper", "optuna"
    named = re.match(r"Unknown plugin class : 'hydra_plugins\.hydra_(\w+?)_launcher\.", message)
    return ("hydra/launcher", named.group(1)) if named else None

"""One sentence for each error of Hydra and OmegaConf: the setting, and the valid choices. Imports no torch.

Each row of `ROWS` has the class of an error, a pattern of its text, and the function that makes the sentence, or
returns None. The first sentence counts. tests/config/test_hydra_errors.py has a command for each row.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from labbook.config import renames
from labbook.config import schema as settings
from labbook.config.arguments import choice_files, wrong_type_message
from labbook.config.known_settings import choices_with_setting, folders_for_arguments, known_settings, swept_by_preset
from labbook.config.path_rules import quote_override
from labbook.config.several import SEVERAL
from labbook.config.unknown_keys import is_setting, null_parent_message, unknown_setting_message
from labbook.errors import SettingError, first_line, list_choices, missing_package_message


@dataclass
class Failure:
    """Hydra's error for a command line."""

    error: Exception
    arguments: list[str]
    found: re.Match[str]  # of the row's pattern in the text of the error

    @property
    def cause(self) -> BaseException | None:
        return self.error.__cause__ or self.error.__context__

    @property
    def file(self) -> str:
        """The file with the error, as experiment/best; empty for the command line."""
        named = re.match(r"In '(.+?)'", str(self.error))
        return named[1] if named else ""

    @property
    def where(self) -> str:
        return f"{self.file}.yaml: " if self.file else ""


# Options of groups ----------------------------------------------------------------------------------------------------


def unknown_option(failure: Failure) -> str | None:
    """model=NAME, where Hydra lists the options."""
    error = failure.error
    if not isinstance(error, MissingConfigException) or error.options is None or not error.missing_cfg_file:
        return None
    group, _, name = error.missing_cfg_file.rpartition("/")
    own = f"; a folder of images is data=image_folder data.root={name}" if Path(name).is_dir() else ""
    return renames.instead_of_choice(group, name) or (
        f"{group}={name} is unknown; {list_choices(name, error.options)}{own if group == 'data' else ''}"
    )


def unknown_option_in_list(failure: Failure) -> str:
    """callbacks=[ema,NAME], or a file of `configs/` that names it."""
    group, name = failure.found.groups()
    where = "" if failure.file == "train" else failure.where
    if renamed := renames.instead_of_choice(group, name):
        return f"{where}{renamed}"
    known = (path.stem for path in choice_files(group, *folders_for_arguments(failure.arguments)))
    return f"{where}{group}={name} is unknown; {list_choices(name, known)}"


def unknown_group(failure: Failure) -> str:
    """`override /NAME:` in a file of `configs/`."""
    name = failure.found[1]
    return f"{failure.where}{name} is not a group; {list_choices(name, settings.GROUPS)}"


def not_a_name(failure: Failure) -> str:
    """model=null, model=3, or =3."""
    for argument in failure.arguments:
        name, _, value = argument.partition("=")
        if name in settings.GROUPS and not isinstance(yaml.safe_load(value), str):
            return f"{name}={value} is not a choice; {list_choices('', (path.stem for path in choice_files(name)))}"
    return "a setting has no name: use SETTING=VALUE"


def not_deleted(failure: Failure) -> str:
    """~model.depth=3 and the like."""
    name = next((item for item in failure.arguments if item.startswith("~")), "~")
    return f"{name} cannot be deleted: use ~SETTING or ~GROUP"


# Settings -------------------------------------------------------------------------------------------------------------


def unreadable(failure: Failure) -> str:
    """Words that Hydra's grammar cannot read."""
    hint = "write SETTING=VALUE, a list as [a,b], and values with spaces or special characters as \"SETTING='VALUE'\""
    override = str(getattr(failure.error, "override", ""))
    name, _, value = override.partition("=")
    example = f", here {quote_override(name, value)}" if value and value[0] not in "[{'\"" else ""
    return f"cannot read '{override}': {hint}{example}"


def several_values(failure: Failure) -> str:
    """seed=1,2 without -m."""
    name, values = failure.found.groups()
    or_list = "" if name in settings.GROUPS else f", or write {name}=[{values}] for a list"
    if Path(values).exists():
        or_list = f", or write {quote_override(name, values)} for {values}, which exists"
    return f"{name}={values} gives several values: add -m to sweep over them{or_list}"


def unknown_setting(failure: Failure) -> str | None:
    """NAME=VALUE, on the command line or in a file."""
    cause, where, arguments = failure.cause, failure.where, failure.arguments
    if not isinstance(cause, (ConfigAttributeError, ConfigKeyError)) or not cause.full_key:
        return None
    name = str(cause.full_key)
    if failure.file and name in settings.FILES:
        return f"{where}its first line must be '# @package _global_'"
    if renamed := renames.instead(name):
        return f"{where}{renamed}"
    known = known_settings(arguments)
    if f"~{name}" in arguments and is_setting(name, known):
        return f"{name} is both set and deleted: use {name}=VALUE or ~{name}"
    if instead := null_parent_message(name, known) or setting_of_class_message(name, arguments):
        return f"{where}{instead}"
    others, swept = note_on_other_choices(name), note_on_swept_choices(name, arguments)
    wrong = f"{name} is not a setting of all swept choices" if swept else unknown_setting_message(name, known)
    return f"{where}{wrong}{others}{swept}"


def setting_of_class_message(name: str, arguments: list[str]) -> str:
    """The error for a new callback or logger, or a setting of a class that the command line names; empty for others."""
    group = name.partition(".")[0]
    given = dict(item.lstrip("+").partition("=")[::2] for item in arguments)
    if group in SEVERAL and (f"{name}._target_" in given or given.get(group, "").startswith("{")):
        return f"{name} is new: write +{name}._target_={given.get(f'{name}._target_', 'CLASS')}"
    if target := given.get(f"{group}._target_"):
        return f"{name} is not a setting: if it is one of {target}, write +{name}=VALUE"
    return ""


def wrong_container(failure: Failure) -> str | None:
    """data.augment={flip: 1}, which is a list."""
    name, value = failure.found.groups()
    if "incompatible container" not in str(failure.cause):
        return None
    if value.startswith("{"):
        return f"{name} must be a list, not {value}: write {name}=[{value}]"
    return f"{name} must be a mapping such as {{NAME: VALUE}}, not {value}"


def wrong_type(failure: Failure) -> str | None:
    """epochs=many."""
    for place, error in ((failure.where, failure.cause), ("", failure.error)):
        if isinstance(error, ValidationError if error is failure.cause else OmegaConfBaseException) and error.full_key:
            return f"{place}{wrong_type_message(str(error.full_key), first_line(error))}"
    return None


def with_cause(failure: Failure) -> str | None:
    known = isinstance(failure.cause, OmegaConfBaseException)
    return f"{first_line(failure.error)}: {first_line(failure.cause)}" if known and failure.cause else None


def inside_list(failure: Failure) -> str | None:
    """model.hidden.x=3 of a list."""
    key = f".{failure.found[1]}"
    names = (item.partition("=")[0] for item in failure.arguments)
    setting = next((each for each in names if key in each), None)  # otherwise something else went wrong
    how = "set the whole list, as SETTING=[a,b], or use a position in it"
    return f"{setting}: what is before '{key}' is a list: {how}" if setting else None


# Launchers ------------------------------------------------------------------------------------------------------------


def missing_plugin(failure: Failure) -> str:
    """hydra/launcher=joblib without the extra."""
    launcher, sweeper = failure.found.groups()
    group, extra = ("hydra/launcher", launcher) if launcher else ("hydra/sweeper", sweeper)
    given = next((item for item in failure.arguments if item.startswith(f"{group}=")), f"{group}={extra}")
    return missing_package_message(given, extra)


class Rule(NamedTuple):
    """A class of errors, a pattern of their text, and the sentence."""

    kind: type[Exception] | tuple[type[Exception], ...]
    pattern: str
    sentence: Callable[[Failure], str | None]


OF_HYDRA = (HydraException, OmegaConfBaseException)
MISSING = r"^Unknown plugin class : '(?:hydra_plugins\.hydra_(\w+?)_launcher\.|labbook\.sweeps\.(optuna)_sweeper\.)"
ROWS = (
    Rule(MissingConfigException, "", unknown_option),
    Rule(OverrideParseException, "", unreadable),
    Rule(Exception, r"^(?:Ambiguous value for argument|Sweep parameters) '(\S+)=(.+?)'", several_values),
    Rule(
        Exception,
        "does not support sweep type",
        lambda _: "interval(...) needs a search: add hydra/sweeper=optuna, or list the values, as KEY=A,B",
    ),
    Rule(
        Exception,
        r"(?:Multiple values for |force-add of config groups is not supported: '\+\+)(\w+)",
        lambda failure: f"{failure.found[1]} is set without +, ++ or ~: {failure.found[1]}=CHOICE",
    ),
    Rule(
        Exception,
        r"^Could not append to config\. An item is already at '(\S+)'",
        lambda failure: f"{failure.found[1]} is a setting already: write it without +",
    ),
    Rule(
        Exception,
        r"^Could not delete from config\. '(\S+)' does not exist",
        lambda failure: unknown_setting_message(failure.found[1], known_settings(failure.arguments)),
    ),
    Rule(Exception, r"Could not load '(\w+)/(.+?)'", unknown_option_in_list),
    Rule(
        Exception,
        r"Invalid Defaults List override '/?(\w+): ",
        unknown_group,
    ),
    Rule(HydraException, r"^Error merging override (\S+?)=(.+)$", wrong_container),
    Rule(OF_HYDRA, "", unknown_setting),
    Rule(OF_HYDRA, "", wrong_type),
    Rule(yaml.YAMLError, "", lambda failure: f"a file of the configuration cannot be read: {failure.error}"),
    Rule(RuntimeError, "srun", lambda _: "hydra/launcher=submitit_slurm: this machine has no Slurm (no srun)"),
    Rule(RuntimeError, MISSING, missing_plugin),
    Rule(
        RuntimeError,
        "^Unknown plugin class",
        lambda failure: f"{failure.error}: hydra/launcher and hydra/sweeper must be an option that exists",
    ),
    Rule(Exception, "^Config group override must be", not_a_name),
    Rule(Exception, "^Config group override deletion", not_deleted),
    Rule(
        Exception,
        "^Only one of --run",
        lambda _: "-m (a sweep), --cfg and --info cannot be combined: use one of them",
    ),
    Rule(Exception, r"^(?:Index|invalid literal for int\(\) with base 10:) '(.+)'", inside_list),
    Rule(OF_HYDRA, "", with_cause),
)


def explain_error(error: Exception, arguments: list[str]) -> str | None:
    """One sentence for an error of Hydra; None if no row of the table knows it."""
    for row in ROWS:
        found = re.search(row.pattern, str(error)) if isinstance(error, row.kind) else None
        if found and (sentence := row.sentence(Failure(error, arguments, found))):
            return sentence
    return None


@contextmanager
def explained_to_user(arguments: list[str]) -> Iterator[None]:
    """Within this context, errors of Hydra become sentences."""
    try:
        yield
    except (*OF_HYDRA, yaml.YAMLError, RuntimeError, TypeError, ValueError) as error:
        sentence = explain_error(error, arguments)
        if sentence is None and not isinstance(error, OF_HYDRA):
            raise
        raise SettingError(sentence or str(error)) from error


def note_on_other_choices(name: str) -> str:
    having = choices_with_setting(name)
    return f"; it is a setting of {name.partition('.')[0]}={', '.join(having)}" if having else ""


def note_on_swept_choices(name: str, arguments: list[str]) -> str:
    """A note if a swept choice has the setting: Hydra does not know the settings of each choice in advance."""
    group, having = name.partition(".")[0], choices_with_setting(name)
    chosen = {key: value for key, _, value in (item.partition("=") for item in arguments)}
    swept = swept_by_preset(chosen.get("sweep", "")) | {key: value for key, value in chosen.items() if "," in value}
    options = map(str.strip, swept[group].split(",")) if group in swept else having if "experiment" in swept else []
    there = {"-m", "--multirun"} & {*arguments} and {*having} & {*options}
    return f"; to set it only for the options that have it, use ++{name}=VALUE" if there else ""

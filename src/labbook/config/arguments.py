"""Overrides as Hydra takes them: choices in any case, paths with the home folder. Imports no torch."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from labbook.config import renames, search_path
from labbook.config.path_rules import expand_user
from labbook.config.schema import GROUPS, OPTIONAL, TrainConfig
from labbook.config.vocabulary import NO, YES, alternatives, override_value
from labbook.errors import SettingError, abbreviate, list_choices

PATHS = ("log_dir", "resume", "data.root", "data.cache_dir")
OF_HOME = re.compile(r"""(?<=[=,\[])(['"]?)(~[^,'"\]]*)\1""")  # whole, or one in a list
PATH = re.compile(r"[/\\~]|^\.|\.(py|ya?ml)$")


def choice_files(group: str, *folders: Path) -> list[Path]:
    """The choices of a group; for equal names, the file of the first folder."""
    found = [path for folder in folders or search_path.config_folders() for path in (folder / group).glob("*.yaml")]
    return sorted({path.name: path for path in reversed(found)}.values(), key=lambda path: path.name)


def normalize_overrides(arguments: Sequence[str], folders: Sequence[Path] = ()) -> list[str]:
    """Overrides as Hydra takes them; `folders` have the group files, by default those of the program."""
    folders = folders or search_path.config_folders()
    meant = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        check_deletion(name)
        if equals and name in GROUPS:
            check_not_a_path(name, value, folders)
            argument = f"{name}={normalize_choices(name, value, folders)}"
        elif equals:
            check_root_value(name.lstrip("+"), value)
            argument = expand_home(argument) if name.lstrip("+") in PATHS else argument
        meant.append(argument)
    return meant


def normalize_choices(group: str, value: str, folders: Sequence[Path]) -> str:
    """The choices of a group in a value, in any case and with any hyphens: lenet5 for LeNet-5."""
    if "{" in value:  # settings, which are no choice
        return value
    names = [path.stem for path in choice_files(group, *folders)]
    by_letters = {spelling_key(name): name for name in names}
    return re.sub(
        r"[\w-]+",
        lambda found: found[0] if found[0] in names else by_letters.get(spelling_key(found[0]), found[0]),
        value,
    )


def spelling_key(name: str) -> str:
    return re.sub(r"[-_]", "", name).casefold()


def expand_home(argument: str) -> str:
    """A setting that is a path, with the user's home folder for ~."""

    def whole(found: re.Match[str]) -> str:
        path = expand_user(argument, found[2])
        return f"'{path}'" if re.search(r"[^\w./-]", path) else path

    return OF_HOME.sub(whole, argument)


def check_not_a_path(group: str, value: str, folders: Sequence[Path]) -> None:
    """Refuse a path instead of a choice, alone or in a list."""
    listed = value.split(",")
    if len(listed) > 1 and any((folder / group / f"{name}.yaml").is_file() for folder in folders for name in listed):
        for name in listed:
            check_not_a_path(group, name, folders)
        return
    path = value.strip("'\"")
    if not PATH.search(path) or any((folder / group / f"{path}.yaml").is_file() for folder in folders):
        return
    given = f"{group}={abbreviate(value)}"
    if group == "data":
        raise SettingError(f"{given}: a folder of images is data=image_folder data.root={abbreviate(path)}")
    stem, valid = PureWindowsPath(path).stem, [file.stem for file in choice_files(group, *folders)]
    if stem in valid:
        raise SettingError(f"{given} is a path: write {group}={stem}")
    own = "; make new-model NAME=my_net creates your own" if group == "model" else ""
    raise SettingError(f"{given} is a path, and {group} takes a name{own}; {list_choices('', valid)}")


def check_deletion(name: str) -> None:
    setting = name.removeprefix("~")
    if setting == name or setting.startswith("notes."):
        return
    root, needed = setting.partition(".")[0], {item.name for item in fields(TrainConfig)}
    if root in needed.difference(GROUPS) | {"sweep"} or setting in needed.intersection(GROUPS).difference(OPTIONAL):
        value = "CHOICE" if setting in GROUPS else "VALUE"
        left = f"~{setting}: every run has {setting}: leave ~{setting} out for its default, or write {setting}={value}"
        raise SettingError(renames.instead(setting) or left)


def check_root_value(name: str, value: str) -> None:
    """Refuse yes and similar words for a setting of the root that is true or false, and None for null."""
    kind = root_types().get(name)
    if kind == (str | None) and value == "None":
        raise SettingError(f"{name}=None is the word None: write {name}=null")
    for given in value.split(",") if kind in (bool, bool | None) else ():
        if given.casefold() in (*YES, *NO, "0", "1"):
            truth = override_value(given.casefold() in (*YES, "1"))
            raise SettingError(f"{name} must be true or false, not {given}: write {name}={truth}")


def root_types(node: type[Any] = TrainConfig, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in fields(node):
        name = f"{prefix}{item.name}"
        nested = isinstance(item.type, type) and is_dataclass(item.type)
        found |= root_types(item.type, f"{name}.") if nested else {name: item.type}  # type: ignore[arg-type]
    return found


def wrong_type_message(name: str, text: str) -> str:
    """The error for a value of a wrong type; `text` is OmegaConf's message."""
    found = re.search(r"Value '(.*?)'", text)
    kinds = {"Integer": (int, "a whole number"), "Float": (float, "a number"), "bool": (bool, "true or false")}
    named = next((each for word, each in kinds.items() if word in text), None)
    if not found or named is None:
        return f"{name}: {text}"
    value: Any = found[1]
    with suppress(ValueError):
        value = float(value)
    (kind, words), optional = named, root_types().get(name) == named[0] | None
    right = [item for item in alternatives(value) if type(item) is kind or (item is None and optional)]
    instead = f": write {name}={override_value(right[0])}" if right else ""
    return f"{name} must be {words}, not {found[1]}{instead}"

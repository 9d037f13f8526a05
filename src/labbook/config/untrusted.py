"""Check settings files that may be a stranger's before anything uses them. Imports no torch.

The files of configs/, of the package and of the project, are part of the program. Those of `--config-dir`,
`--config-path` and `hydra.searchpath`, and the config.yaml of a run, may come from anywhere. They may set what the
command line can set, and no more.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from labbook.config import hydra_internals
from labbook.config.path_rules import escapes_folder, expand_user
from labbook.errors import SettingError, abbreviate
from labbook.installation import CONFIGS

LARGEST = 1_000_000  # bytes of a file
LONGEST = 10_000  # characters of a text in it
DEEPEST = 20  # levels of mappings and lists
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
# ${name:...} calls a function, whose name may be built from other values; ${name} refers to another setting.
RESOLVER = re.compile(r"\$\{[^{}]*(:|\$\{)")
PARAMETER = re.compile(r"(\+\+|\+|~)?[\w./@-]+")  # what a sweep's preset may set: no value in the name
OF_HYDRA = re.compile(r"(^|[@/.\s])hydra\b")
READ_ONLY = ("root", "labels")  # data.root and data.labels: where images are, and their table
PLACES = ("log_dir", "data.cache_dir")  # folders that are written to


class FileConfigSource(hydra_internals.FileConfigSource):
    """Hydra's settings files; outside the `trusted` folders only if `check_config_file` passes.

    It has the name of Hydra's own class, by which Hydra recognizes it in a launcher's processes.
    """

    trusted: ClassVar[Sequence[Path]] = (CONFIGS,)

    def load_config(self, config_path: str) -> ConfigResult:
        if ".." in Path(config_path).parts or Path(config_path).is_absolute():
            raise SettingError(f"{abbreviate(config_path)} leads out of the folder of settings")
        file = hydra_internals.file_of(self, config_path)
        if file.is_file() and not any(file.resolve().is_relative_to(folder.resolve()) for folder in self.trusted):
            check_config_file(read_settings_file(file), str(file), config_path)
        result = super().load_config(config_path)
        for name in PLACES:
            if isinstance(place := OmegaConf.select(result.config, name, throw_on_resolution_failure=False), str):
                OmegaConf.update(result.config, name, expand_user(f"{file}: {name}", place))
        return result


def register_config_source(trusted: Sequence[Path]) -> None:
    """Make Hydra read its files with this class; those in `trusted` folders are part of the program."""
    FileConfigSource.trusted = trusted
    hydra_internals.replace_file_source(FileConfigSource)


def read_settings_file(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise SettingError(f"{file} is larger than {LARGEST:,} bytes, so it is not a settings file")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingError(f"{file} cannot be read: it is not UTF-8 text") from error


def check_yaml_form(text: str, origin: str, *, resolved: bool = False) -> None:
    """Refuse YAML beyond nested settings; a syntax error is left to the reader of the file.

    `resolved` settings have no interpolations.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            value = event.value if isinstance(event, yaml.ScalarEvent) else ""
            wrong = {
                "a YAML tag": getattr(event, "tag", None),
                "a YAML anchor or alias": getattr(event, "anchor", None),
                f"more than {DEEPEST} levels": depth > DEEPEST,
                f"a text of more than {LONGEST:,} characters": len(value) > LONGEST,
                "control characters": CONTROL.search(value),
                "an interpolation (${...})": resolved and "${" in value,
            }
            if found := next((name for name, there in wrong.items() if there), None):
                raise SettingError(f"{origin} holds {found}, so it is not read")
    except yaml.YAMLError:
        return


def check_config_file(text: str, origin: str, config_path: str) -> None:
    """Refuse a settings file with more than the settings of a run."""
    check_yaml_form(text, origin)
    try:
        content = yaml.load(text, Loader=LOADER)
    except (yaml.YAMLError, ValueError):
        return  # Hydra reports it
    if not isinstance(content, Mapping):
        return
    defaults = content.get("defaults")
    packages = [config_path, *re.findall(r"@package(.*)", text)]
    packages += map(str, defaults if isinstance(defaults, list) else [defaults])
    if any(OF_HYDRA.search(item) and not re.fullmatch(r"\{'override /hydra/\w+': '\w+'\}", item) for item in packages):
        raise SettingError(f"{origin}: settings of Hydra are allowed only in configs/ and on the command line")
    check_hydra_section(content.get("hydra"), origin)
    for name, value in all_strings({key: item for key, item in content.items() if key != "defaults"}):
        if RESOLVER.search(value):
            raise SettingError(
                f"{origin}: {abbreviate(name)}={abbreviate(value)} is allowed only in configs/ and on the command line"
            )
        outside = escapes_folder(re.sub(r"\$\{[^{}]*\}", "", value))
        if outside and name.rpartition(".")[2] not in READ_ONLY:
            instead = ": set it on the command line" if name in PLACES else ""
            raise SettingError(
                f"{origin}: {abbreviate(name)}={abbreviate(value)} leads out of the current folder{instead}"
            )


def check_hydra_section(node: Any, origin: str) -> None:
    """Refuse Hydra's settings except for `hydra.sweeper.params` of a run's settings, as in a sweep's preset."""
    sweeper = only_entry("sweeper", node, f"{origin}: hydra")
    params = only_entry("params", sweeper, f"{origin}: hydra.sweeper")
    for key in params if isinstance(params, Mapping) else []:
        if OF_HYDRA.search(str(key).lstrip("+~")) or not PARAMETER.fullmatch(str(key)):
            raise SettingError(f"{origin}: {abbreviate(str(key))} is allowed only in configs/ and on the command line")


def only_entry(key: str, node: Any, where: str) -> Any:
    others = [str(item) for item in node if item != key] if isinstance(node, Mapping) else [str(node or "")]
    if any(others):
        raise SettingError(f"{where}.{abbreviate(others[0])} is allowed only in configs/ and on the command line")
    return node.get(key) if isinstance(node, Mapping) else None


def all_strings(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield name, node
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from all_strings(item, f"{name}[{index}]")
    elif isinstance(node, Mapping):
        for key, item in node.items():
            yield from all_strings(item, f"{name}.{key}" if name else str(key))

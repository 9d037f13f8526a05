"""Names of a sweep and its runs: the same command, the same names."""

import itertools
import re
from collections.abc import Iterable
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from labbook.config.path_rules import short_file_name
from labbook.errors import SettingError
from labbook.runs.run_id import is_outside_run_id


def parse_overrides(overrides: list[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Overrides as Hydra parses them; a `loader` is needed for the values of `glob(...)`."""
    return OverridesParser.create(config_loader=loader).parse_overrides(overrides)


def given_overrides(hydra: DictConfig) -> tuple[list[str], list[str]]:
    """The overrides of a sweep's preset and of its command, from Hydra's node, with `${...}` as typed.

    Each run resolves them with its own settings.
    """
    preset: Any = OmegaConf.to_container(hydra.sweeper, resolve=False)
    command: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return [f"{key}={'null' if value is None else value}" for key, value in (preset["params"] or {}).items()], command


def swept_keys(overrides: list[str]) -> list[str]:
    return [item.get_key_element() for item in parse_overrides(overrides) if item.is_sweep_override()]


def override_combinations(overrides: Iterable[Override]) -> list[list[str]]:
    """Every combination of the swept values; of a key given twice the later counts.

    Raises:
        HydraException: an interval, which has no list of values.
    """
    values: dict[str, list[str]] = {}
    for item in overrides:
        key = item.get_key_element()
        if item.is_sweep_override():
            if not item.is_discrete_sweep():
                raise HydraException(f"a grid does not support sweep type {item.value_type}")
            values[key] = [f"{key}={value}" for value in item.sweep_string_iterator()]
            if not values[key]:
                raise SettingError(f"{item.input_line} has no value to sweep over")
        elif item.is_delete():
            values[key] = [str(item.input_line)]  # ~KEY is not ~KEY=
        else:
            values[key] = [f"{key}={item.get_value_element_as_str()}"]
    return [list(each) for each in itertools.product(*values.values())]


def sweep_name(overrides: list[str], preset: str | None, search: bool = False) -> str:
    """The name of a sweep: its preset, what is fixed and which keys are swept.

    The swept values are not in it, so a command with one more value is the same sweep.
    """
    last = {
        item.get_key_element(): item for item in parse_overrides(overrides)
    }  # of a key given twice the later counts
    named = {key: item for key, item in sorted(last.items()) if not is_left_out_of_name(key)}
    over = [key for key, item in named.items() if item.is_sweep_override()]
    fixed = [f"{key}={item.get_value_element_as_str()}" for key, item in named.items() if key not in over]
    words = [preset or "", overrides_slug(fixed) if fixed else ""]
    if over:
        words += ["by", short_file_name("_".join(_last(key) for key in over))]
    return "_".join(word for word in (*words, "search" if search else "") if word) or "sweep"


def overrides_slug(overrides: Iterable[str]) -> str:
    """Overrides as a short name for any file system: `model.depth=2` becomes `depth-2`.

    Groups come first and the seed last.
    """
    pairs = [override.partition("=") for override in overrides]
    pairs.sort(key=lambda pair: (pair[0] == "seed", "." in pair[0], pair))
    return short_file_name("_".join(f"{_last(key)}-{_rounded(value)}" for key, _, value in pairs)) or "run"


def _last(key: str) -> str:
    return key.lstrip("+~").rpartition(".")[2]


def _rounded(value: str) -> str:
    """Long numbers, as a search draws them, with four digits: the run ID distinguishes them."""
    value = re.sub(r"^-(?=[\d.])", "minus", value.replace("e+", "e"))
    return f"{float(value):.4g}" if re.fullmatch(r"-?\d*\.\d{4,}(e-?\d+)?", value) else value


def is_left_out_of_name(key: str) -> bool:
    """Whether a setting does not change the result, or is in each run's own name."""
    return is_outside_run_id(key, "hydra", "callbacks", "data.root")

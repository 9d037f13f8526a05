"""Keep passwords and tokens out of the files of a run. Imports no torch."""

import os
import re
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from labbook.errors import SettingError

WORDS = r"api_?key|access_?key|private_?key|token|secret|passw(?:or)?d|credentials?"
SETTING = re.compile(rf"(^|_)({WORDS})$", re.IGNORECASE)
VARIABLE = re.compile(rf"(^|_)({WORDS}|key|pass|auth|cookie)s?(_|$)", re.IGNORECASE)
IN_ADDRESS = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")  # user:password@host
IN_COMMAND = re.compile(rf"((?:{WORDS})[=:]\s?)(\S+)", re.IGNORECASE)


def check_not_secret(name: str, value: Any) -> None:
    """Refuse a secret as a setting: config.yaml, TensorBoard and the report would show it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_not_secret(f"{name}.{key}", item)
    elif isinstance(value, list):
        for item in value:
            check_not_secret(name, item)
    elif isinstance(value, str) and ((SETTING.search(name.rpartition(".")[2]) and value) or IN_ADDRESS.search(value)):
        raise SettingError(
            f"{name} is a secret, and settings are saved in files: use the library's environment variable instead,"
            " such as WANDB_API_KEY or MLFLOW_TRACKING_PASSWORD"
        )


def mask_secrets(text: str) -> str:
    return IN_COMMAND.sub(r"\1***", IN_ADDRESS.sub(r"\1***@", text))


def read_environment(name: str, *default: str | None) -> str | None:
    """The value of `${oc.env:NAME,DEFAULT}`.

    Raises:
        KeyError: the variable is not set, and there is no default.
    """
    value = os.environ.get(name)
    if VARIABLE.search(name) or (value is not None and IN_ADDRESS.search(value)):
        raise SettingError(f"the environment variable {name} is a secret, and settings are saved in files")
    if value is None and not default:
        raise KeyError(f"environment variable {name} is not set")
    return value if value is not None else default[0]


def register_environment_resolver() -> None:
    """Make `${oc.env:NAME}` refuse secrets."""
    OmegaConf.register_resolver("oc.env", read_environment, replace=True)

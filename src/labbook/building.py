"""From configuration nodes to objects: every `_target_` is allowed, and fits the signature it names, or is refused."""

import inspect
import json
import typing
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Any

import pydantic
from annotated_types import Ge, Gt
from hydra.errors import HydraException, InstantiationException
from hydra.utils import execution_whitelist, get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from labbook.config import EXECUTION_WHITELIST
from labbook.errors import SettingError, choices

# Limits that torch's own optimizers document but do not put into their annotations.
LIMITS: dict[str, Any] = {
    "lr": Gt(0),
    "eps": Ge(0),
    "momentum": Ge(0),
    "weight_decay": Ge(0),
    "accumulate_grad_batches": Ge(1),
    "gradient_clip_val": Ge(0),
}


def allowed(target: str) -> bool:
    """Whether the whitelist lets a configuration name this target."""
    return any(target == item or (item.endswith(".*") and target.startswith(item[:-1])) for item in EXECUTION_WHITELIST)


def locate(target: Any, name: str) -> Any:
    """The object that `_target_: target` of the node `name` stands for.

    Raises:
        SettingError: the whitelist does not allow it, or it does not exist.
    """
    if not isinstance(target, str) or not allowed(target):
        raise SettingError(f"{name}._target_={target} is not allowed; allowed are {', '.join(EXECUTION_WHITELIST)}")
    try:
        with execution_whitelist(EXECUTION_WHITELIST):
            return get_object(target)
    except (ImportError, AttributeError, ValueError, HydraException) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and not missing.startswith("labbook"):
            raise SettingError(f"{name} needs the package {missing}, which is not installed") from error
        raise SettingError(f"{name}._target_={target} does not exist") from error


@lru_cache(maxsize=512)
def parameters(target: Any) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    """The parameters a target takes by keyword, and their annotations.

    A class that hands `**options` on to its base takes the base's parameters too.
    """
    owners = [item for item in target.__mro__ if "__init__" in vars(item)] if inspect.isclass(target) else [target]
    found: dict[str, inspect.Parameter] = {}
    hints: dict[str, Any] = {}
    for owner in owners:
        function = inspect.unwrap(owner.__init__ if inspect.isclass(owner) else owner)
        own = {key: item for key, item in inspect.signature(function).parameters.items() if key != "self"}
        found = own | {key: item for key, item in found.items() if item.kind is not item.VAR_KEYWORD}
        with suppress(NameError, TypeError):  # an annotation that only a type checker can resolve
            hints = typing.get_type_hints(function, include_extras=True) | hints
        if not any(item.kind is item.VAR_KEYWORD for item in own.values()):
            break
    return found, hints


def check_value(annotation: Any, value: Any, name: str) -> None:
    """Refuse a plain value that an annotation does not allow; annotations beyond plain data allow everything.

    Raises:
        SettingError: naming the setting, what is expected and what was given.
    """
    limit = LIMITS.get(name.rpartition(".")[2])
    if limit is not None and isinstance(value, (int, float)):
        annotation = Annotated[float, limit]
    try:
        adapter = pydantic.TypeAdapter(annotation, config=pydantic.ConfigDict(arbitrary_types_allowed=True))
    except pydantic.errors.PydanticUserError:
        return
    try:
        # Validated as JSON, a list may stand for a tuple, but a string never for a number.
        adapter.validate_json(json.dumps(value), strict=True)
    except pydantic.ValidationError as error:
        complaints = [item for item in error.errors() if not item["type"].startswith(("is_instance", "needs_python"))]
        texts = [item["msg"].removeprefix("Value error, ").replace("Input should be", "must be") for item in complaints]
        reason = " or ".join(dict.fromkeys(texts)) or "must be of another type"
        raise SettingError(f"{name} {reason}, not {value!r}") from error


def check(node: Any, name: str, supplied: Mapping[str, Any] | None = None) -> None:
    """Hold one node, and the nodes inside, against the signatures of what they name, without building anything.

    `supplied` are the arguments that the program itself will add; they are not looked for in the node, and a
    value given here stands in for the node's own.

    Raises:
        SettingError: a target that is not allowed, an unknown or missing argument, a wrong type or range.
    """
    if isinstance(node, DictConfig):
        node = OmegaConf.to_container(node, resolve=True)
    if isinstance(node, list):
        for index, item in enumerate(node):
            check(item, f"{name}[{index}]")
    if not isinstance(node, dict):
        return
    settings = {key: value for key, value in node.items() if key not in ("_target_", "_partial_", "_convert_")}
    if "_target_" not in node:
        for key, value in settings.items():
            check(value, f"{name}.{key}")
        return
    supplied = supplied or {}
    target = locate(node["_target_"], name)
    known, hints = parameters(target)
    takes_any = any(item.kind is item.VAR_KEYWORD for item in known.values())
    for key, value in settings.items():
        if key in known and key not in supplied:
            check(value, f"{name}.{key}")
            if not (isinstance(value, dict) and "_target_" in value):
                check_value(hints.get(key, Any), value, f"{name}.{key}")
        elif key not in known and not takes_any:
            valid = choices(str(key), known.keys() - supplied.keys(), "settings")
            raise SettingError(f"{name}.{key} is no setting of {node['_target_']}; {valid}")
    if not node.get("_partial_"):
        for key, item in known.items():
            required = item.default is item.empty and item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
            if required and key not in settings and key not in supplied:
                raise SettingError(f"{name}.{key} is missing: {node['_target_']} needs it")


def build(node: Any, **supplied: Any) -> Any:
    """The object that a checked node describes, made with the node's settings and the `supplied` arguments.

    Raises:
        SettingError: raised by the target itself for settings that do not go together.
    """
    if not node or "_target_" not in node:
        return {key: build(value) for key, value in (node or {}).items()}
    try:
        return instantiate(node, **supplied, _convert_="all", _execution_whitelist_=EXECUTION_WHITELIST)
    except InstantiationException as error:
        if isinstance(error.__cause__, SettingError):
            raise error.__cause__ from None
        raise

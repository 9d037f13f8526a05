"""From configuration nodes to objects: every `_target_` must be allowed and fit its signature."""

import difflib
import inspect
import json
import sys
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Any

import pydantic
import torch
from annotated_types import Ge, Gt
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from labbook.config import own_code, renames, target_rules
from labbook.config.failures import LIBRARIES, ConfigPart
from labbook.config.own_code import allowed_targets, describe_allowed_targets
from labbook.config.several import SEVERAL
from labbook.config.vocabulary import alternatives, override_value
from labbook.errors import (
    SettingError,
    UntrainableError,
    first_line,
    list_choices,
    missing_package_message,
    nearest,
)

# Limits that torch and Lightning document but do not annotate.
LIMITS: dict[str, Any] = {
    "lr": Gt(0),
    "eps": Ge(0),
    "momentum": Ge(0),
    "weight_decay": Ge(0),
    "accumulate_grad_batches": Ge(1),
    "check_val_every_n_epoch": Ge(1),
    "gradient_clip_val": Ge(0),
    "limit_test_batches": Gt(0),
    "limit_train_batches": Gt(0),
    "limit_val_batches": Gt(0),
    "num_nodes": Ge(1),
    "patience": Ge(0),
}


def resolve_target(target: Any, name: str) -> Any:
    """The object that `_target_: target` of the node `name` stands for."""
    try:
        return import_target(renames.current_target(str(target)), allowed_targets())
    except HydraException as error:
        causes = list(cause_chain(error.__cause__))
        if not causes:  # refused by name, or as another package's under an allowed name, or not callable
            raise SettingError(
                f"{name}._target_={target} is not allowed; allowed are {describe_allowed_targets()}"
            ) from error
        missing = [item.name for item in causes if isinstance(item, ModuleNotFoundError) and item.name]
        library = missing and target.partition(".")[0] == missing[-1] in own_code.LIBRARIES
        if library or (missing and not any(target.startswith(item) for item in missing)):
            raise UntrainableError(f"{name}: {missing_package_message(missing[-1], missing[-1])}") from error
        if missing or isinstance(causes[-1], AttributeError):
            raise UntrainableError(f"{name}._target_={target} does not exist{similar_names(str(target))}") from error
        reason = f"{type(causes[-1]).__name__}: {first_line(causes[-1])}"
        raise SettingError(f"{name}._target_={target} cannot be imported: {reason}") from error


@lru_cache(maxsize=512)  # a run asks for the same few again and again
def import_target(target: str, allowed: tuple[str, ...]) -> Any:
    return instantiate({"_target_": target, "_partial_": True}, _execution_whitelist_=allowed).func


def similar_names(target: str) -> str:
    """The end of an error for a missing class or function: similar ones of its module; empty if there are none."""
    module, _, name = renames.current_target(target).rpartition(".")
    known = vars(sys.modules[module]).items() if module in sys.modules else ()
    public = [key for key, value in known if callable(value) and not key.startswith("_")]
    near = difflib.get_close_matches(name, public, cutoff=0.5)
    return f"; {list_choices(name, near, 'similar')}" if near else ""


def cause_chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


CLOSED = ("torchmetrics.",)  # packages whose `**kwargs` a configuration cannot set
PLAIN = pydantic.ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)


@lru_cache(maxsize=512)
def target_parameters(target: Any) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    """The parameters a target takes by keyword, and their annotations.

    A class that passes `**options` on to its base class takes the base's parameters too.
    """
    owners = [item for item in target.__mro__ if constructor_of(item)] if inspect.isclass(target) else [target]
    found: dict[str, inspect.Parameter] = {}
    hints: dict[str, Any] = {}
    for owner in owners:
        function = inspect.unwrap(constructor_of(owner) if inspect.isclass(owner) else owner)
        own = {key: item for key, item in inspect.signature(function).parameters.items() if key not in ("self", "cls")}
        if owner.__module__.startswith(CLOSED):
            own = {key: item for key, item in own.items() if item.kind is not item.VAR_KEYWORD}
        found = own | {key: item for key, item in found.items() if item.kind is not item.VAR_KEYWORD}
        with suppress(NameError, TypeError):  # an annotation that only a type checker can resolve
            hints = typing.get_type_hints(function, include_extras=True) | hints
        if not any(item.kind is item.VAR_KEYWORD for item in own.values()):
            break
    return found, hints


def constructor_of(kind: type) -> Any:
    """The function with which a class creates its objects: its own `__init__`, or else `__new__`."""
    own = vars(kind)
    maker = own.get("__init__") or (own.get("__new__") if kind is not object else None)
    return maker.__func__ if isinstance(maker, staticmethod) else maker


def check_value(annotation: Any, value: Any, name: str) -> None:
    """Refuse a plain value that an annotation does not allow; annotations beyond plain data allow everything."""
    expected = [annotation]
    limit = LIMITS.get(name.rpartition(".")[2])
    if limit is not None and isinstance(value, (int, float)):
        expected.append(Annotated[float, limit])
    for item in expected:
        try:
            adapter = pydantic.TypeAdapter(item, config=PLAIN)
        except pydantic.errors.PydanticUserError:
            continue
        try:
            # Validated as JSON, a list may stand for a tuple, but a string never for a number.
            adapter.validate_json(json.dumps(value), strict=True)
        except pydantic.ValidationError as error:
            with suppress(pydantic.ValidationError):
                adapter.validate_python(value, strict=True)  # of classes that JSON does not know, as numbers.Number
                continue
            shown = override_value(value) if value is None or isinstance(value, bool) else repr(value)
            raise SettingError(
                f"{name} {describe_type_error(error)}, not {shown}{suggest_value(adapter, name, value)}"
            ) from error


def suggest_value(adapter: pydantic.TypeAdapter[Any], name: str, value: Any) -> str:
    """The value to write instead, if another spelling was expected."""
    for other in alternatives(value):
        with suppress(pydantic.ValidationError):
            adapter.validate_json(json.dumps(other), strict=True)
            return f": write {name}={override_value(other)}"
    if isinstance(value, (int, float)):
        with suppress(pydantic.ValidationError):
            adapter.validate_json('"text"', strict=True)  # such as a folder called 2024
            text = value if type(value) is int else "TEXT"
            return f""": write "{name}='{text}'\""""
    return ""


def describe_type_error(error: pydantic.ValidationError) -> str:
    """The expected type in a configuration's words: "must be a list", where JSON says array."""
    words = {
        **{"Input should be": "must be", "a valid array": "a list", "an object": "a mapping"},
        **{"a valid integer": "a whole number", "a valid number": "a number", "a valid boolean": "true or false"},
        "a valid string": "a text",
    }
    lengths = {"missing": "more", "too_short": "more", "too_long": "fewer"}
    texts = []
    for item in error.errors():
        if item["type"].startswith(("is_instance", "needs_python")):
            continue  # what only Python code can give
        text = item["msg"]
        for word, better in words.items():
            text = text.replace(word, better)
        texts.append(f"must have {lengths[item['type']]} entries" if item["type"] in lengths else text)
    return " or ".join(dict.fromkeys(texts)) or "must be of another type"


def check_node_tree(node: Any, name: str, supplied: Mapping[str, str | None] | None = None) -> None:
    """Check a node, and the nodes inside, against the signatures of their targets, without building anything.

    `supplied`: arguments that the program adds. A node need not have them; it must not have those with a text, which
    says what to do instead.
    """
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=True)
    if isinstance(node, list):
        for index, item in enumerate(node):
            check_node_tree(item, f"{name}[{index}]")
    elif isinstance(node, dict) and "_target_" not in node:
        for key, value in node.items():
            if name in SEVERAL and value not in (None, False):  # each of its nodes is built
                check_has_target(value, key, node, name)
            check_node_tree(value, f"{name}.{key}", supplied)
    elif isinstance(node, dict):
        check_target_node(node, name, supplied or {})


def check_has_target(node: Any, key: str, beside: Mapping[str, Any], group: str) -> None:
    """Refuse a node without a target, such as a setting of a callback with a misspelt name."""
    if not is_target_node(node):
        names = [name for name, other in beside.items() if is_target_node(other)]
        known = f"; {list_choices(key, names, 'such nodes here')}" if names else ""
        where = f"{group}.{key}" if group else key
        raise SettingError(f"{where}={node} is not an object that can be created: use {where}._target_=CLASS{known}")


def check_target_node(node: Mapping[str, Any], name: str, supplied: Mapping[str, str | None]) -> None:
    """`check_node_tree` for a node with a `_target_`."""
    target = resolve_target(node["_target_"], name)
    target_rules.check_target_kind(target, node, name)
    known, hints = target_parameters(target)
    takes_any = any(item.kind is item.VAR_KEYWORD for item in known.values())
    settings = {key: value for key, value in node.items() if key not in ("_target_", "_partial_", "_convert_")}
    for key, value in settings.items():
        if instead := supplied.get(key):
            raise UntrainableError(f"{name}.{key} is set by the program: {instead}")
        if key not in known and (not takes_any or key in target_rules.FOR_HYDRA):
            valid = list_choices(str(key), known.keys() - supplied.keys(), "settings")
            unknown = f"{name}.{key} is not a setting of {node['_target_']}; {valid}"
            others = [item for item in settings if item not in known and item not in supplied]
            if "." not in name and (len(others) > 1 or not nearest(key, known)):  # those of the option's own class
                unknown += f"; delete what it does not take: {' '.join(f'~{name}.{item}' for item in others)}"
            raise UntrainableError(renames.instead(f"{name}.{key}") or unknown)
        if key not in supplied:
            target_rules.check_setting_allowed(f"{name}.{key}", value)
            check_node_tree(value, f"{name}.{key}")
            if key in known and not is_target_node(value):
                plain = [item for item in value if not is_target_node(item)] if isinstance(value, list) else value
                check_value(hints.get(key, Any), plain, f"{name}.{key}")
    if name in target_rules.DEFERRED or not node.get("_partial_"):
        given = {*settings, *supplied}
        if name in target_rules.DEFERRED:
            given |= {*target_rules.DEFERRED[name], *list(known)[:1]}
        for key, item in known.items():
            required = item.default is item.empty and item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
            if required and key not in given:
                raise SettingError(f"{name}.{key} is missing: {node['_target_']} needs it")
    if inspect.isclass(target) and issubclass(target, torch.optim.Optimizer):
        try_optimizer(node, name)


def is_target_node(value: Any) -> bool:
    """Whether a value describes an object, which is checked separately."""
    return isinstance(value, Mapping) and "_target_" in value


def try_optimizer(node: Mapping[str, Any], name: str) -> None:
    """Create the optimizer for one number, and for typical parameters with one step."""
    matrix, vector, filters = (torch.ones([1] * dimensions, requires_grad=True) for dimensions in (2, 1, 4))
    try:
        build_object(node, name)([matrix])
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise UntrainableError(f"{name}: {first_line(error)}") from error
    for parameter in (matrix, vector, filters):
        parameter.grad = torch.ones_like(parameter)
    try:
        build_object(node, name)([{"params": [matrix, vector]}, {"params": [filters]}]).step()
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UntrainableError(
            f"{name}._target_={node['_target_']} with these settings cannot train a network: an optimizer must use"
            " all parameters and their"
            f" gradients ({reason}); such as optimizer=adamw"
        ) from error


def build_object(node: Any, name: str = "", /, **supplied: Any) -> Any:
    """Build the object of the checked node `name` from its settings and the `supplied` arguments.

    For a node without a `_target_`, the objects of all nodes inside, by name, without null ones.
    """
    if not node:
        return {}
    if "_target_" not in node:
        inner = {key: value for key, value in node.items() if value}
        for key, value in inner.items():
            check_has_target(value, key, inner, name)
        return {key: build_object(value, f"{name}.{key}" if name else str(key)) for key, value in inner.items()}
    if OmegaConf.is_config(node):  # otherwise Hydra would copy the whole tree of the node
        node = OmegaConf.to_container(node, resolve=True)
    target = str(node["_target_"])
    try:
        return instantiate(node, **supplied, _convert_="all", _execution_whitelist_=allowed_targets())
    except (SettingError, ImportError):
        raise
    except Exception as error:
        if not target.startswith(LIBRARIES):  # own code: a bug, whose traceback is useful
            ConfigPart(name, target, None).note(error)
            raise
        raise SettingError(f"{f'{name} ({target})' if name else target}: {first_line(error)}") from error

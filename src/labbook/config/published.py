"""Published results of a lab for the settings of a run. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, PositiveInt, TypeAdapter, ValidationError

from labbook.errors import SettingError


class PublishedEntry(BaseModel):
    """One row of a lab's report, in the list `published` of an experiment or a sweep."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    system: str  # the lab's name for it: C2
    final: dict[str, float]  # metrics by their names in metrics.json
    epochs: PositiveInt | None = None  # epochs of the lab's training
    where: dict[str, Any] = {}  # choices of groups and settings that a run must have; none: any run
    by_epoch: dict[str, list[float]] = {}  # metrics by their names in metrics.csv, from the first epoch


ENTRIES = TypeAdapter(list[PublishedEntry])


def published_entries(published: Any) -> list[Any]:
    """The setting `published` as a list: empty for null; a mapping is a list of one."""
    plain = OmegaConf.to_container(published, resolve=True) if OmegaConf.is_config(published) else published
    if plain is None:
        return []
    return plain if isinstance(plain, list) else [plain]


def check_published(published: Any) -> None:
    try:
        ENTRIES.validate_python(published_entries(published))
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"])
        wrong = first["msg"].replace(" or instance of PublishedEntry", "")
        form = "{system: NAME, final: {test/acc: NUMBER}}, with epochs, where and by_epoch if need be"
        raise SettingError(f"published{place}: {wrong}; an entry is {form}") from error


def matching_entry(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first entry of `config["published"]` whose `where` matches a plain configuration."""
    entries = published_entries(config.get("published"))
    return next((item for item in entries if matches_where(item.get("where", {}), config)), None)


def matches_where(where: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a plain configuration has these choices (optimizer: sgd) and settings (optimizer.lr: 0.1).

    A list of choices matches any of them (data: [cifar10, cifar10_jpeg]).
    """
    choices = config.get("config_groups") or {}
    return all(
        choices[name] in (value if isinstance(value, list) else [value])
        if name in choices
        else get_setting(config, name) == value
        for name, value in where.items()
    )


def get_setting(config: Mapping[str, Any], name: str) -> Any:
    """The value of a dotted name; None if it is missing."""
    node: Any = config
    for key in name.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def compare_with_published(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """A line per published metric that the run has: published, own and difference."""
    found = matching_entry(config) or {}
    planned = found.get("epochs") or metrics["epochs"]
    unlike = "" if planned == metrics["epochs"] else f", after {planned} epochs there and {metrics['epochs']} here"
    lines = []
    for name in (name for name in found.get("final", {}) if name in metrics):
        theirs, ours = found["final"][name], metrics[name]
        places = 1 if name.endswith("seconds") else 4
        difference = f"{ours - theirs:+.{places}f}{unlike}"
        lines.append(f"{name}  published {theirs:.{places}f}  ours {ours:.{places}f}  ({difference})")
    return lines

"""The settings in which the runs of a sweep differ."""

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from labbook.config.schema import GROUPS, LATER_GROUPS, TrainConfig
from labbook.config.unknown_keys import flatten
from labbook.reports.read_runs import RunRecord
from labbook.runs.run_id import IGNORED_KEYS

DEFAULT = "default"  # a setting that a run does not have
ABSENT = object()
NULL = "null"  # a setting that is null, unlike one that a run does not have
NEVER = (*IGNORED_KEYS, "seed", "fold", "config_groups", "data.root")
Number = int | float


@dataclass(frozen=True)
class Column:
    """A group, whose values are the choices, or a setting with a dotted name."""

    name: str
    group: bool
    known_to: frozenset[str | None] = frozenset()  # choices of its group for which a run has the setting
    off: Any = DEFAULT  # the setting in runs of these choices that were not given it

    def of(self, run: RunRecord) -> Any:
        """The value of a run; `off` if only other runs of its choice have one, None if none has."""
        if self.group:
            return run.choices.get(self.name, LATER_GROUPS.get(self.name))
        value = setting_value(run, self.name)
        if value is ABSENT:
            if group_choice(run, self.name) not in self.known_to:
                return None
            value = self.off
        return NULL if value is None else value


def varying_columns(runs: Sequence[RunRecord], over: Sequence[str]) -> list[Column]:
    """The columns in which runs differ: the swept ones in their order, then others.

    Settings that follow from swept ones, such as a learning rate that comes with an optimizer, are left out.
    """
    found = [*varying_groups(runs), *varying_settings(runs, over)]
    rank = {name: index for index, name in enumerate(over)}
    found.sort(key=lambda column: rank.get(column.name, len(rank)))  # stable
    swept = [column for column in found if column.name in rank]
    return [column for column in found if column in swept or not is_determined(runs, column, swept)]


def varying_groups(runs: Sequence[RunRecord]) -> list[Column]:
    """Groups of which the runs used different files."""
    groups = dict.fromkeys(group for run in runs for group in run.choices if not is_ignored(group))
    columns = [Column(group, True) for group in groups]
    return [column for column in columns if len({column.of(run) for run in runs}) > 1]


def varying_settings(runs: Sequence[RunRecord], over: Sequence[str]) -> list[Column]:
    """Settings that differ between runs with the same file of the setting's group."""
    columns = []
    for name in setting_names(runs):
        if is_ignored(name) and not (name == "data.root" and name in over):
            continue
        seen: dict[str | None, set[Hashable]] = {}
        for run in runs:
            value = setting_value(run, name)
            seen.setdefault(group_choice(run, name), set()).add(ABSENT if value is ABSENT else value_key(value))
        known = {choice: values for choice, values in seen.items() if values != {ABSENT}}
        # Runs from before a setting was added are equal to runs with it off.
        off = next((run.settings[name] for run in runs if name in run.settings and name not in run.effective), DEFAULT)
        ways = [{value_key(off) if value is ABSENT else value for value in values} for values in known.values()]
        if any(len(values) > 1 for values in ways):
            columns.append(Column(name, False, frozenset(known), off))
    return columns


def setting_names(runs: Sequence[RunRecord]) -> list[str]:
    """The names of all settings; one that is a mapping in some runs and not in others is one setting."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    within = {name: [name[:end] for end, sign in enumerate(name) if sign == "."] for name in names}
    return [name for name, above in within.items() if not any(each in names for each in above)]


def setting_value(run: RunRecord, name: str) -> Any:
    """The value of a setting in a run; the root's default if an older run lacks it; or `ABSENT`."""
    node: Any = run.config
    for part in name.split("."):
        if not isinstance(node, dict) or part not in node:
            return root_defaults().get(name, ABSENT)
        node = node[part]
    return node


def group_choice(run: RunRecord, name: str) -> str | None:
    """A run's file of the group of a setting."""
    return run.choices.get(name.partition(".")[0])


@cache
def root_defaults() -> dict[str, Any]:
    """The default settings of the root."""
    root: Any = OmegaConf.to_container(OmegaConf.structured(TrainConfig))
    plain = {name: value for name, value in root.items() if name not in GROUPS}
    return flatten(plain)


def is_ignored(name: str, ignored: Sequence[str] = NEVER) -> bool:
    """Whether a setting is not compared because it changes no result."""
    return any(name == never or name.startswith(f"{never}.") for never in ignored)


def is_determined(runs: Iterable[RunRecord], column: Column, by: Sequence[Column]) -> bool:
    """Whether runs that are equal in the columns `by` are equal in this one too."""
    known: dict[Hashable, Hashable] = {}
    return all(
        known.setdefault(tuple(value_key(each.of(run)) for each in by), value_key(column.of(run)))
        == value_key(column.of(run))
        for run in runs
    )


def value_key(value: Any) -> Hashable:
    """Equal for equal values only: true is not 1."""
    if isinstance(value, (list, dict)):
        return json.dumps(value, sort_keys=True, default=str)
    return (isinstance(value, bool), value)


def value_order(value: Any) -> tuple[int, float, str]:
    """Sorts values of any type: numbers by size, then words, then null."""
    if is_axis_number(value):
        return (0, float(value), "")
    return (2, 0.0, "") if value is None else (1, 0.0, value_text(value))


def is_axis_number(value: Any) -> bool:
    """Whether a value can be on an axis of numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def value_text(value: Any) -> str:
    """A value as written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=str, ensure_ascii=False)
    return NULL if value is None else str(value)


def short_names(columns: Sequence[Column], taken: Iterable[str] = ()) -> list[str]:
    """The last part of each dotted name, if no other column, nor anything in `taken`, has it."""
    lasts = [column.name.removesuffix("._target_").rpartition(".")[2] for column in columns]
    uses = Counter([*lasts, *taken])
    return [last if uses[last] == 1 else column.name for last, column in zip(lasts, columns, strict=True)]

"""Which settings tell the runs of a sweep apart."""

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from labbook.identity import INDIFFERENT
from labbook.report.reading import Run

NEVER = (*INDIFFERENT, "seed", "choices", "data.root")
Number = int | float


@dataclass(frozen=True)
class Column:
    """A group, whose values are the choices, or a setting with a dotted name."""

    name: str
    group: bool

    def of(self, run: Run) -> Any:
        """The value that a run has; None where it has none."""
        return run.choices.get(self.name) if self.group else run.settings.get(self.name)


def varying(runs: Sequence[Run], over: Sequence[str]) -> list[Column]:
    """The columns that tell these runs apart: the swept ones in their order, then what else differs.

    What the swept ones determine, such as a learning rate that comes with the choice of an optimizer, is left out.
    """
    found = [*varying_groups(runs), *varying_settings(runs, over)]
    rank = {name: index for index, name in enumerate(over)}
    found.sort(key=lambda column: rank.get(column.name, len(rank)))  # stable
    swept = [column for column in found if column.name in rank]
    return [column for column in found if column in swept or not determined(runs, column, swept)]


def varying_groups(runs: Sequence[Run]) -> list[Column]:
    """Groups of which the runs took different files."""
    groups = dict.fromkeys(group for run in runs for group in run.choices if not ignored(group))
    return [Column(group, True) for group in groups if len({run.choices.get(group) for run in runs}) > 1]


def varying_settings(runs: Sequence[Run], over: Sequence[str]) -> list[Column]:
    """Settings that differ between runs which took the same file of the setting's group."""
    seen: dict[str, dict[str | None, set[Hashable]]] = {}
    for run in runs:
        for name, value in run.settings.items():
            choice = run.choices.get(name.partition(".")[0])
            seen.setdefault(name, {}).setdefault(choice, set()).add(key(value))
    differing = [name for name, values in seen.items() if any(len(each) > 1 for each in values.values())]
    return [Column(name, False) for name in differing if (name == "data.root" and name in over) or not ignored(name)]


def ignored(name: str) -> bool:
    """Whether a setting changes nothing that is compared."""
    return any(name == never or name.startswith(f"{never}.") for never in NEVER)


def determined(runs: Iterable[Run], column: Column, by: Sequence[Column]) -> bool:
    """Whether runs that are equal in the columns `by` are equal in this one too."""
    known: dict[Hashable, Hashable] = {}
    return all(
        known.setdefault(tuple(key(each.of(run)) for each in by), key(column.of(run))) == key(column.of(run))
        for run in runs
    )


def key(value: Any) -> Hashable:
    """What is equal for equal values only: true is not 1."""
    if isinstance(value, (list, dict)):
        return json.dumps(value, sort_keys=True, default=str)
    return (isinstance(value, bool), value)


def order(value: Any) -> tuple[int, float, str]:
    """Sorts values of any kind: numbers by size, then words, then nothing."""
    if is_number(value):
        return (0, float(value), "")
    return (2, 0.0, "") if value is None else (1, 0.0, text(value))


def is_number(value: Any) -> bool:
    """Whether a value lies on an axis of numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def text(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=str, ensure_ascii=False)
    return "null" if value is None else str(value)


def short_names(columns: Sequence[Column], taken: Iterable[str] = ()) -> list[str]:
    """The last part of each dotted name where no other column, nor anything in `taken`, is called so."""
    lasts = [column.name.rpartition(".")[2] for column in columns]
    uses = Counter([*lasts, *taken])
    return [last if uses[last] == 1 else column.name for last, column in zip(lasts, columns, strict=True)]

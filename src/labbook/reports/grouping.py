"""One row per setting, over its seeds: means, deviations and published results."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from labbook.config import published
from labbook.config.schema import held_out_name, lower_is_better
from labbook.errors import SettingError
from labbook.reports.columns import Column, short_names, value_key, value_order, value_text, varying_columns
from labbook.reports.read_runs import RunRecord, SweepRecord
from labbook.runs.run_folder import State

OBJECTIVE = "objective"  # stands for the metric that runs are compared by
ACCURACY = {"val/acc": "val acc", "test/acc": "test acc", "train/acc": "train acc"}
SHOWN = ACCURACY | {"train_seconds": "seconds", "images_per_second": "images/s"}
FOLDERS_OF_DATA = ("data.root", "data.train_folder", "data.test_folder")
STATES: tuple[State, ...] = ("finished", "running", "interrupted", "failed", "pruned", "new", "damaged")


@dataclass(frozen=True)
class Mean:
    """A metric over the runs that have it."""

    n: int
    mean: float
    sd: float | None  # of a sample; None for a single run

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean | None":
        """None without values."""
        return cls(len(values), fmean(values), stdev(values) if len(values) > 1 else None) if values else None


@dataclass(frozen=True)
class SettingRow:
    """One setting: runs that differ in seeds and folds only."""

    values: tuple[Any, ...]  # of the report's columns
    label: str
    runs: tuple[RunRecord, ...]
    published: dict[str, float]
    system: str  # the lab's name for it
    unlike: bool  # whether the lab trained for another number of epochs
    old: bool  # whether a metric is from other code than the report's
    objective: str = "val/acc"  # the metric that runs are compared by
    falls: bool = False  # whether smaller is better
    data_set: tuple[str, ...] = ()  # what distinguishes the data set of the runs: its class, and swept folders

    @property
    def finished(self) -> list[RunRecord]:
        return [run for run in self.runs if run.state == "finished"]

    def metric(self, name: str) -> Mean | None:
        """A final metric over the finished runs, by the first of its `recorded_names` that they have."""
        found = (self.exact(each) for each in recorded_names(name))
        return next((mean for mean in found if mean is not None), None)

    def exact(self, name: str) -> Mean | None:
        values = (measured_metric(run, self.objective if name == OBJECTIVE else name) for run in self.finished)
        return Mean.of([value for value in values if value is not None])

    def difference(self, name: str) -> float | None:
        """The mean minus the published value."""
        ours = self.exact(name)
        return ours.mean - self.published[name] if ours and name in self.published else None

    @property
    def best(self) -> RunRecord | None:
        sign = -1 if self.falls else 1
        values = [
            (sign * value, run) for run in self.finished if (value := measured_metric(run, self.objective)) is not None
        ]
        return max(values, key=lambda pair: pair[0])[1] if values else None

    @property
    def repeats(self) -> str:
        varied = [name for name in ("fold", "seed") if len({run.settings.get(name) for run in self.finished}) > 1]
        return " and ".join(f"{name}s" for name in varied) or "seeds"

    @property
    def folds(self) -> int:
        return int(self.runs[0].settings.get("folds") or 0)

    def tied(self, other: "SettingRow") -> bool:
        """Whether the means of two settings differ by at most a standard deviation of either."""
        ours, theirs = self.exact(OBJECTIVE), other.exact(OBJECTIVE)
        if ours is None or theirs is None:
            return False
        return abs(ours.mean - theirs.mean) <= max(ours.sd or 0.0, theirs.sd or 0.0)


@dataclass(frozen=True)
class Report:
    """The result of a sweep."""

    sweep: SweepRecord
    columns: tuple[Column, ...]
    names: tuple[str, ...]  # short names of the columns
    rows: tuple[SettingRow, ...]  # the best first
    figures: tuple[str, ...]  # the shown final metrics
    on_test: bool  # whether the runs were validated on the test set
    objective: str  # the metric that runs are compared by
    falls: bool  # whether smaller is better

    @property
    def published(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.published))

    @property
    def states(self) -> dict[str, int]:
        counts = Counter(run.state for run in self.sweep.runs)
        return {state: counts[state] for state in STATES if counts[state]}

    @property
    def failures(self) -> list[RunRecord]:
        return [run for run in self.sweep.runs if run.state == "failed"]

    @property
    def ranked(self) -> list[SettingRow]:
        return [row for row in self.rows if row.exact(OBJECTIVE)]

    @property
    def winners(self) -> list[SettingRow]:
        """The best row of each data set: metrics of different data sets cannot be compared."""
        found: dict[tuple[str, ...], SettingRow] = {}
        for row in self.ranked:
            found.setdefault(row.data_set, row)
        return list(found.values())

    @property
    def best(self) -> SettingRow | None:
        """The best row; None for several data sets, without a metric, or if only the test set could decide."""
        return self.winners[0] if len(self.winners) == 1 and not self.on_test else None

    @property
    def tied(self) -> list[SettingRow]:
        """The rows within a standard deviation of the best one."""
        return [row for row in self.ranked[1:] if row.tied(self.ranked[0])]


def group_runs(sweep: SweepRecord) -> Report:
    """The runs of a sweep by setting, the best of each data set first.

    Runs without a readable configuration are only counted.
    """
    runs = [run for run in sweep.runs if run.config]
    columns = varying_columns(runs, sweep.over)
    names = short_names(columns, (*SHOWN.values(), "n"))
    on_test = bool(runs) and all(run.settings.get("data.validation") == "test" for run in runs)
    code, objective = sweep.expected_code, compared_metric(sweep)
    falls = lower_is_better(objective, sweep.mode)
    settings: dict[Hashable, list[RunRecord]] = {}
    for run in runs:
        settings.setdefault(tuple(value_key(column.of(run)) for column in columns), []).append(run)
    rows = [row_of_setting(members, columns, names, code, objective, falls) for members in settings.values()]
    rows.sort(key=lambda row: [value_order(value) for value in row.values])
    data_sets = list(dict.fromkeys(row.data_set for row in rows))
    rows.sort(key=lambda row: (data_sets.index(row.data_set), *rank_key(row)))
    figures = shown_metrics_of(rows, objective, on_test)
    return Report(sweep, tuple(columns), tuple(names), tuple(rows), figures, on_test, objective, falls)


def row_of_setting(
    runs: Sequence[RunRecord], columns: Sequence[Column], names: Sequence[str], code: str, objective: str, falls: bool
) -> SettingRow:
    values = tuple(column.of(runs[0]) for column in columns)
    label = ", ".join(
        f"{name} {value_text(value)}" for name, value in zip(names, values, strict=True) if value is not None
    )
    entry = published_for(runs[0].config)
    old = any(run.version != code for run in runs if run.state == "finished")
    unlike = entry.get("epochs") not in (None, runs[0].settings.get("epochs"))
    final, system = entry.get("final", {}), entry.get("system", "")
    folders = [column.name for column in columns if column.name in FOLDERS_OF_DATA]
    data_set = tuple(str(runs[0].settings.get(name)) for name in ("data._target_", *folders))
    return SettingRow(
        values, label or "the one setting", tuple(runs), final, system, unlike, old, objective, falls, data_set
    )


def published_for(config: dict[str, Any]) -> dict[str, Any]:
    """The published results for a configuration's settings; empty if the entry is invalid."""
    try:
        published.check_published(config.get("published"))
    except SettingError:
        return {}
    return published.matching_entry(config) or {}


def shown_metrics_of(rows: Sequence[SettingRow], objective: str, on_test: bool) -> tuple[str, ...]:
    """The metrics of all rows; first the one that runs are compared by, if it is not an accuracy.

    Loss and top-5 accuracy of the test are left out.
    """
    tested = (name for row in rows for run in row.finished for name in run.final_metrics("test"))
    others = (name for name in dict.fromkeys(tested) if name not in ("test/loss", "test/top5_acc"))
    names = dict.fromkeys([*(() if objective in SHOWN else (objective,)), *SHOWN, *others])
    shown = [name for name in names if not (on_test and name.startswith("val/"))]  # which would be of the test set
    return tuple(name for name in shown if any(row.metric(name) for row in rows))


def rank_key(row: SettingRow) -> tuple[bool, float]:
    """Sorts the best row first and rows without a metric last."""
    mean = row.exact(OBJECTIVE)
    sign = 1 if row.falls else -1
    return (mean is None, sign * mean.mean if mean else 0.0)


def measured_metric(run: RunRecord, name: str) -> float | None:
    """A final metric of a run; a metric of the test set is not a validation metric."""
    on_test = name.startswith("val/") and run.settings.get("data.validation") == "test"
    return None if on_test else run.metric(name)


def compared_metric(sweep: SweepRecord) -> str:
    """The metric that runs are compared by: the sweep's objective, or that of training if no run has it."""
    finished = [run for run in sweep.runs if run.state == "finished" and run.config]
    validated = any(measured_metric(run, sweep.objective) is not None for run in finished)
    return sweep.objective if validated or not finished else held_out_name(sweep.objective, "test")


def recorded_names(name: str) -> tuple[str, ...]:
    """The names of a metric in a run, the best first: `train/acc_eval` is measured after training, over all images."""
    return ("train/acc_eval", name) if name == "train/acc" else (name,)

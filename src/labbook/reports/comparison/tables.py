"""The tables of a comparison as text, for terminal and page: a column per run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from labbook.errors import list_first
from labbook.inference.intervals import format_interval, wilson_interval
from labbook.reports.columns import is_ignored, value_key, value_text, varying_groups
from labbook.reports.comparison.load_runs import Candidate
from labbook.reports.comparison.pairwise import MOST_LISTED, Labelled, Pair, format_p, group_by_images, pairs_of
from labbook.reports.read_runs import RunRecord
from labbook.reports.table_cells import format_metric_cell
from labbook.runs.run_id import IGNORED_KEYS, PASSIVE, same_everywhere

FIGURES = {
    "val/loss": "validation loss",
    "val/acc": "validation accuracy",
    "test/loss": "test loss",
    "test/acc": "test accuracy",
    "test/top5_acc": "test top-5 accuracy",
    "train/acc": "training accuracy, during the epoch",
    "train/acc_eval": "training accuracy, after training",
}
COUNTS = {"parameters": "parameters", "epochs": "epochs", "tested_epoch": "epoch tested"}
MACHINE = ("hardware", "device", "precision", "threads", "versions", "code_version")
NOTHING = "–"
SEVERAL_CLASSES = "An image with several classes is correct if all its classes are, each with its threshold."
MOST_SAID = 6  # pairs up to which there is a sentence for each


@dataclass(frozen=True)
class Sheet:
    """A table and its notes."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    numeric: bool = False  # all columns but the first


def settings_sheet(runs: Sequence[Candidate]) -> Sheet:
    rows = tuple((name, *values) for name, values in differing(runs))
    same = "All settings that change the result are the same"
    apart = len(sheet_of_test_sets([run.run for run in runs])) > 1
    notes = () if rows else (f"{same}, but the images are different." if apart else f"{same}.",)
    return Sheet("Different settings", ("setting", *run_names(runs)), rows, notes)


def differing(runs: Sequence[Candidate]) -> list[tuple[str, list[str]]]:
    """Groups and settings in which the runs differ, with the value of each run."""
    folders = [run.run for run in runs]
    found = [
        (column.name, [run.choices.get(column.name, NOTHING) for run in folders]) for column in varying_groups(folders)
    ]
    every = dict.fromkeys(name for run in folders for name in run.settings)
    groups = list(dict.fromkeys(name.partition(".")[0] for name in every))
    for name in sorted(every, key=lambda name: groups.index(name.partition(".")[0])):  # those of a group together
        if len({value_key(run.effective.get(name)) for run in folders}) > 1 and affects_result(name, folders):
            values = [value_text(run.settings[name]) if name in run.settings else NOTHING for run in folders]
            found.append((name, values))
    return found


def affects_result(name: str, runs: Sequence[RunRecord]) -> bool:
    """Whether a setting may change the result, and is not a note of the program."""
    if name == "data.root":
        targets = [{"_target_": run.settings.get("data._target_")} for run in runs]
        return len(sheet_of_test_sets(runs)) > 1 or not all(map(same_everywhere, targets))
    if name.startswith("callbacks."):
        target = f"{'.'.join(name.split('.')[:2])}._target_"
        if all(run.settings.get(target, PASSIVE[0]) in PASSIVE for run in runs):
            return False
    own = any(part.startswith("_") for part in name.split("."))
    return not own and not is_ignored(name, (*IGNORED_KEYS, "config_groups"))


def sheet_of_test_sets(runs: Sequence[RunRecord]) -> set[str]:
    return {str(run.metrics["test_set"]) for run in runs if "test_set" in run.metrics}


def metrics_sheet(runs: Sequence[Candidate]) -> Sheet:
    rows = [("state", *(run.run.state for run in runs))]
    for titles, form in ((metric_titles(runs), "{:.4f}"), (COUNTS, "{:,.0f}")):
        rows += [row for name, title in titles.items() if (row := metric_row(runs, name, title, form.format))]
    untested = [run.label for run in runs if not run.run.tested]
    notes = (f"No test metrics: {', '.join(untested)}.",) if untested else ()
    return Sheet("Results", ("metric", *run_names(runs)), tuple(rows), notes, numeric=True)


def metric_titles(runs: Sequence[Candidate]) -> dict[str, str]:
    """The validation and test metrics of all runs, and their titles."""
    found = dict(FIGURES)
    for part, word in (("val", "validation"), ("test", "test")):
        for name in (name for run in runs for name in run.run.final_metrics(part)):
            if name != "val/top5_acc":
                found.setdefault(name, f"{word} {name.partition('/')[2].replace('_', ' ')}")
    return found | {name: name for run in runs for name in run.run.other_metrics()}


def times_sheet(runs: Sequence[Candidate]) -> Sheet:
    rows = [
        (name.replace("_", " "), *(str(run.run.metrics.get(name, NOTHING)) for run in runs))
        for name in MACHINE
        if any(name in run.run.metrics for run in runs)
    ]
    for name, title in (("train_seconds", "seconds of training"), ("images_per_second", "images/s")):
        if row := metric_row(runs, name, title, partial(format_metric_cell, name)):
            rows.append(row)
            rows.append((f"{title}, relative to the first run", *(ratio_text(run, runs[0], name) for run in runs)))
    return Sheet("Machine and time", ("", *run_names(runs)), tuple(rows))


def ratio_text(run: Candidate, first: Candidate, name: str) -> str:
    """A metric as a multiple of the first run's."""
    mine, theirs = run.run.metric(name), first.run.metric(name)
    return f"{mine / theirs:.2f}" if mine is not None and theirs else NOTHING


def significance_sheet(pairs: Sequence[Pair], notes: Sequence[str]) -> Sheet:
    several = len(pairs) > 1
    columns = ("runs", "images", "only the first correct", "only the second correct", "p", *["p, corrected"] * several)
    rows = []
    for pair in sorted(pairs, key=lambda pair: pair.p):
        counts = (f"{count:,}" for count in (pair.images, pair.only_one, pair.only_other))
        probabilities = [pair.p, pair.corrected] if several else [pair.p]
        columns_of_p = (format_p(p).removeprefix("p ").removeprefix("= ") for p in probabilities)
        rows.append((f"{pair.one} / {pair.other}", *counts, *columns_of_p))
    said = list(pairs) if len(pairs) <= MOST_SAID else [pair for pair in pairs if pair.better]
    words = [pair.sentence(len(pairs)) for pair in said]
    words += [SEVERAL_CLASSES] if any(pair.several_classes for pair in pairs) else []
    if left := len(pairs) - len(said):
        words.append(f"No significant difference between the other {left} pairs.")
    meaning = [
        "p is that of McNemar's exact test: the probability of a result at least this uneven if both networks are"
        " equally good. It compares these trained networks on these images. To compare settings, use several seeds"
        " (seeds=5)."
    ]
    return Sheet("Which run is better", columns, tuple(rows), (*words, *notes, *(meaning if pairs else ())), True)


def metric_row(
    runs: Sequence[Candidate], name: str, title: str, said: Callable[[float], str]
) -> tuple[str, ...] | None:
    """A metric of every run; None if no run has it."""
    values = [run.run.metric(name) for run in runs]
    if all(value is None for value in values):
        return None
    return (title, *(NOTHING if value is None else said(value) for value in values))


def run_names(runs: Sequence[Candidate]) -> tuple[str, ...]:
    return tuple(run.label for run in runs)


MEANING = (
    "The interval is the 95 % interval over the test images (Wilson). p is that of McNemar's exact test against the"
    " best run, corrected for the number of tests (Holm). The best run was selected by these images, so its"
    " accuracy is a little too high. To compare settings, use several seeds (seeds=5)."
)


def ranking_sheet(answers: Sequence[Labelled], notes: Sequence[str]) -> Sheet:
    """The runs with the most frequent test images, the best first."""
    columns = ("run", "test accuracy", "95 % interval", "images", "only the best correct", "only this right", "p")
    heading = "Ranking by test accuracy"
    if not answers:
        return Sheet(heading, columns, (), tuple(notes), True)
    alike = max(group_by_images(answers), key=len)
    ranked = sorted(alike, key=lambda each: (-each[1].accuracy, each[0]))
    pairs = {pair.other: pair for pair in pairs_of(ranked, ranked[0])}
    rows = tuple(ranking_row(each, pairs.get(each[0])) for each in ranked)
    return Sheet(heading, columns, rows, (*ranking_summary(ranked, list(pairs.values())), *notes, MEANING), True)


def ranking_row(answered: Labelled, pair: Pair | None) -> tuple[str, ...]:
    """The cells of a run; the best one has no pair."""
    label, answers = answered
    count = len(answers.labels)
    cells = (label, f"{answers.accuracy:.4f}", format_interval(wilson_interval(answers.accuracy, count)), f"{count:,}")
    if pair is None:
        return (*cells, "", "", "")
    p = format_p(pair.corrected).removeprefix("p ").removeprefix("= ")
    return (*cells, f"{pair.only_one:,}", f"{pair.only_other:,}", p)


def ranking_summary(ranked: Sequence[Labelled], pairs: Sequence[Pair]) -> list[str]:
    """Which runs are significantly worse than the best one."""
    best = ranked[0][0]
    equal = [pair.other for pair in pairs if not pair.better]
    if not equal:
        return [f"{best} is better than each of the other {len(pairs)} runs."]
    worse = len(pairs) - len(equal)
    return [
        f"{best} is better than {worse} of the other {len(pairs)} runs. No significant difference between it and"
        f" {list_first(equal, MOST_LISTED)}."
    ]

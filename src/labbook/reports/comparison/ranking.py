"""Many runs: sorted by test accuracy, each compared with the best one."""

from collections.abc import Sequence

from labbook.errors import list_first
from labbook.inference.intervals import format_interval, wilson_interval
from labbook.reports.comparison.pairwise import MOST_LISTED, Labelled, Pair, format_p, group_by_images, pairs_of
from labbook.reports.comparison.tables import Sheet

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

"""What a test says of each class and of the network's confidence, as a table and as plain data."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, JustifyMethod
from rich.table import Table
from torch import Tensor
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_precision, multiclass_recall

from labbook.console import WIDEST, literal, plain_table, wide_enough
from labbook.files import finite_or_null
from labbook.inference.evaluate.calibration import Bin, bins_of, expected_error
from labbook.training.label_tasks import AnyEvaluationResult, EvaluationResult, MultilabelEvaluationResult

MOST_CLASSES = 20  # that the table shows unless all are asked for
MEASURES = {"precision": multiclass_precision, "recall": multiclass_recall, "f1": multiclass_f1_score}


@dataclass(frozen=True)
class ClassMetrics:
    """How well one class is told from the others; nan where none of the images is of it."""

    name: str
    precision: float  # of the images taken for it, the part that is of it; 0 where no image is
    recall: float  # of its images, the part that is taken for it
    f1: float  # harmonic mean of the two
    images: int


@dataclass(frozen=True)
class LabelMetrics(ClassMetrics):
    """The same where an image has several classes, by the threshold of each."""

    threshold: float
    average_precision: float  # whatever the threshold; nan where none of the images is of it


@dataclass(frozen=True)
class EvaluationReport:
    """The figures of a test."""

    loss: float
    acc: float
    images: int
    classes: tuple[ClassMetrics, ...]
    precision: float  # means over the classes that have images
    recall: float
    f1: float
    calibration_error: float
    bins: tuple[Bin, ...]
    metrics: dict[str, float]  # those of the group `metrics`, by name


def evaluation_report(outcome: AnyEvaluationResult, names: Sequence[str]) -> EvaluationReport:
    """All figures of a test, whose classes have these names."""
    classes: Sequence[ClassMetrics]
    if isinstance(outcome, MultilabelEvaluationResult):
        classes = metrics_by_label(outcome, names)
        bins = bins_of(outcome.probabilities.flatten(), outcome.labels.flatten())  # of each class of each image
    else:
        classes = metrics_by_class(outcome, names)
        bins = bins_of(outcome.confidence, outcome.predicted == outcome.labels)
    means = {name: Tensor([getattr(row, name) for row in classes]).nanmean().item() for name in MEASURES}
    figures = outcome.figures
    return EvaluationReport(
        figures.loss, figures.acc, figures.images, tuple(classes), **means,
        calibration_error=expected_error(bins), bins=tuple(bins), metrics=dict(outcome.metrics),
    )  # fmt: skip


def metrics_by_class(outcome: EvaluationResult, names: Sequence[str]) -> list[ClassMetrics]:
    """Of classes that exclude each other."""
    counts = outcome.confusion.sum(1)
    found = [measure(outcome.predicted, outcome.labels, len(names), average="none") for measure in MEASURES.values()]
    found = [values.masked_fill(counts == 0, math.nan) for values in found]
    columns = zip(names, *(values.tolist() for values in found), counts.tolist(), strict=True)
    return [ClassMetrics(*row) for row in columns]


def metrics_by_label(outcome: MultilabelEvaluationResult, names: Sequence[str]) -> list[LabelMetrics]:
    """Of classes of which an image may have several."""
    precision = outcome.precision.masked_fill(outcome.images == 0, math.nan)
    found = (precision, outcome.recall, outcome.f1, outcome.images, outcome.thresholds, outcome.average_precision)
    return [LabelMetrics(*row) for row in zip(names, *(values.tolist() for values in found), strict=True)]


def report_as_data(judgement: EvaluationReport) -> dict[str, Any]:
    """Plain data for a JSON file; what is not a number is null."""
    data: dict[str, Any] = finite_or_null(asdict(judgement))
    return data


def print_report(judgement: EvaluationReport, split: str, every: bool = False, console: Console | None = None) -> None:
    """Print the figures; of many classes those that are told worst, unless `every` one is asked for."""
    console = wide_enough(console)
    console.print(f"{split} loss {judgement.loss:.4f} acc {judgement.acc:.4f}  n {judgement.images}")
    classes = list(judgement.classes)
    if left := 0 if every else max(len(classes) - MOST_CLASSES, 0):
        classes = sorted(classes, key=lambda row: math.inf if math.isnan(row.f1) else row.f1)[:MOST_CLASSES]
    console.print(class_table(judgement, classes))
    if left:
        console.print(f"the {MOST_CLASSES} classes with the lowest f1; --all shows the other {left} too")
    error, bins = judgement.calibration_error, len(judgement.bins)
    console.print(f"calibration error {error:.4f} ({bins} bins), mean confidence {mean_confidence(judgement):.4f}")
    for name, value in judgement.metrics.items():
        console.print(f"{name} {value:.4f}")


def class_table(judgement: EvaluationReport, classes: Sequence[ClassMetrics]) -> Table:
    """A row for each class, and their means."""
    made = plain_table()
    several = [row for row in classes if isinstance(row, LabelMetrics)]
    further = ("average precision", "threshold") if several else ()
    for index, title in enumerate(("class", *MEASURES, *further, "n")):
        justify: JustifyMethod = "right" if index else "left"
        made.add_column(title, justify=justify, no_wrap=True, max_width=WIDEST)
    mean_ap = Tensor([row.average_precision for row in several]).nanmean().item()
    means = (judgement.precision, judgement.recall, judgement.f1)
    for row in classes:
        own = (row.average_precision, row.threshold) if isinstance(row, LabelMetrics) else ()
        made.add_row(literal(row.name), *map(format_share, (row.precision, row.recall, row.f1, *own)), str(row.images))
    made.add_row("mean", *map(format_share, (*means, *((mean_ap, math.nan) if several else ()))), str(judgement.images))
    return made


def mean_confidence(judgement: EvaluationReport) -> float:
    """Over all images, the probability of the class that was predicted."""
    used = [item for item in judgement.bins if item.images]
    return sum(item.images * item.confidence for item in used) / sum(item.images for item in used)


def format_share(value: float) -> str:
    """A part of 1; of nothing there is none."""
    return "–" if math.isnan(value) else f"{value:.4f}"

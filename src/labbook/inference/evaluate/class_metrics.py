"""Metrics of a test by class and by confidence, as a table and as plain data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_precision, multiclass_recall

from labbook.console import WIDEST, plain_table, wide_enough
from labbook.training.label_tasks import AnyEvaluationResult, EvaluationResult, MultilabelEvaluationResult

BINS = 15
MOST_CLASSES = 20  # in the printed table, unless --all
MEASURES = {"precision": multiclass_precision, "recall": multiclass_recall, "f1": multiclass_f1_score}


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of a class; nan if it has no images."""

    name: str
    precision: float  # 0 if no image is predicted as this class
    recall: float
    f1: float  # harmonic mean of the two
    images: int


@dataclass(frozen=True)
class LabelMetrics(ClassMetrics):
    """The same for images with several classes, at the threshold of the class."""

    threshold: float
    average_precision: float


@dataclass(frozen=True)
class Bin:
    """The predictions with a confidence above `low`, up to `high`."""

    low: float
    high: float
    images: int
    confidence: float  # means; nan if there are no images
    accuracy: float


@dataclass(frozen=True)
class EvaluationReport:
    """The metrics of a test."""

    loss: float
    acc: float
    images: int
    classes: tuple[ClassMetrics, ...]
    precision: float  # means over the classes with images
    recall: float
    f1: float
    calibration_error: float
    bins: tuple[Bin, ...]
    metrics: dict[str, float]  # those of the group `metrics`, by name


def evaluation_report(outcome: AnyEvaluationResult, names: Sequence[str]) -> EvaluationReport:
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
    """Metrics of classes of which an image has one."""
    counts = outcome.confusion.sum(1)
    found = [measure(outcome.predicted, outcome.labels, len(names), average="none") for measure in MEASURES.values()]
    found = [values.masked_fill(counts == 0, math.nan) for values in found]
    columns = zip(names, *(values.tolist() for values in found), counts.tolist(), strict=True)
    return [ClassMetrics(*row) for row in columns]


def metrics_by_label(outcome: MultilabelEvaluationResult, names: Sequence[str]) -> list[LabelMetrics]:
    """Metrics of classes of which an image can have several."""
    precision = outcome.precision.masked_fill(outcome.images == 0, math.nan)
    found = (precision, outcome.recall, outcome.f1, outcome.images, outcome.thresholds, outcome.average_precision)
    return [LabelMetrics(*row) for row in zip(names, *(values.tolist() for values in found), strict=True)]


def print_report(judgement: EvaluationReport, split: str, every: bool = False, console: Console | None = None) -> None:
    """Print the metrics; of many classes those with the lowest f1, unless `every`."""
    console = wide_enough(console)
    console.print(f"{split} loss {judgement.loss:.4f} acc {judgement.acc:.4f}  n {judgement.images}")
    classes = list(judgement.classes)
    if left := 0 if every else max(len(classes) - MOST_CLASSES, 0):
        classes = sorted(classes, key=lambda row: math.inf if math.isnan(row.f1) else row.f1)[:MOST_CLASSES]
    console.print(class_table(judgement, classes))
    if left:
        console.print(f"the {MOST_CLASSES} classes with the lowest f1; --all shows the other {left} too")
    error, used = judgement.calibration_error, [item for item in judgement.bins if item.images]
    sure = sum(item.images * item.confidence for item in used) / sum(item.images for item in used)
    console.print(f"calibration error {error:.4f} ({len(judgement.bins)} bins), mean confidence {sure:.4f}")
    for name, value in judgement.metrics.items():
        console.print(f"{name} {value:.4f}")


def class_table(judgement: EvaluationReport, classes: Sequence[ClassMetrics]) -> Table:
    several = [row for row in classes if isinstance(row, LabelMetrics)]
    further = ("average precision", "threshold") if several else ()
    mean_ap = Tensor([row.average_precision for row in several]).nanmean().item()
    means = (judgement.precision, judgement.recall, judgement.f1)
    rows = []
    for row in classes:
        own = (row.average_precision, row.threshold) if isinstance(row, LabelMetrics) else ()
        rows.append([row.name, *map(format_share, (row.precision, row.recall, row.f1, *own)), str(row.images)])
    more = (mean_ap, math.nan) if several else ()
    rows.append(["mean", *map(format_share, (*means, *more)), str(judgement.images)])
    heads = [("class", False), *((title, True) for title in (*MEASURES, *further, "n"))]
    return plain_table(heads, rows, no_wrap=True, max_width=WIDEST)


def format_share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


# Calibration --------------------------------------------------------------------------------------------------------


def bins_of(confidence: Tensor, correct: Tensor, count: int = BINS) -> list[Bin]:
    """Bins of equal width over (0, 1] for confidences float32 [n] and correct predictions bool [n].

    torchmetrics puts a confidence of exactly 1, which is frequent, into a bin of its own.
    """
    edges = torch.arange(1, count, dtype=torch.float64) / count
    which = torch.bucketize(confidence.double(), edges)  # a bin includes its upper edge
    images = which.bincount(minlength=count)
    sure, right = (which.bincount(values.double(), minlength=count) / images for values in (confidence, correct))
    limits = [0.0, *edges.tolist(), 1.0]
    columns = zip(limits[:-1], limits[1:], images.tolist(), sure.tolist(), right.tolist(), strict=True)
    return [Bin(*column) for column in columns]


def expected_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error (Guo et al., 2017): mean of |confidence - accuracy|, weighted by images."""
    distances = [item.images * abs(item.confidence - item.accuracy) for item in bins if item.images]
    return sum(distances) / sum(item.images for item in bins)

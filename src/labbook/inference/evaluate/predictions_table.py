"""The table of a run's predictions for the test images, as CSV."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from labbook.data.image_spec import join_class_names
from labbook.errors import printable
from labbook.inference.evaluate.predictions import HEAD, SEVERAL
from labbook.runs.outputs import csv_text
from labbook.training.label_tasks import (
    MOST_CLASSES,
    TOP,
    AnyEvaluationResult,
    EvaluationResult,
    MultilabelEvaluationResult,
)

DIGITS = 6  # significant digits of a probability


def predictions_table(outcome: AnyEvaluationResult, names: Sequence[str], files: Sequence[str] = ()) -> str:
    """A row for each image in the order of the test set; `files` are the paths of its images, if they are files.

    Classes are written by number and by name. Probabilities are those of every class (`p_NAME`); with more than
    `MOST_CLASSES` classes, those of the true class and of the `TOP` most probable ones.
    """
    names = [printable(name) for name in names]
    if isinstance(outcome, MultilabelEvaluationResult):
        return multilabel_predictions_table(outcome, names, files)
    rows: list[list[object]] = [
        [*HEAD, *(["file"] if files else []), "label_name", "predicted_name", *probability_headings(names)]
    ]
    order = outcome.rows.argsort()
    images, labels, predicted = (each[order].tolist() for each in (outcome.rows, outcome.labels, outcome.predicted))
    kept = probability_cells(outcome, names, order)
    for image, label, guess, values in zip(images, labels, predicted, kept, strict=True):
        file = [printable(files[image])] if files else []
        rows.append([image, label, guess, *file, names[label], names[guess], *values])
    return csv_text(rows)


def multilabel_predictions_table(
    outcome: MultilabelEvaluationResult, names: Sequence[str], files: Sequence[str]
) -> str:
    """A row for each image: its true and predicted classes, as in 3|7, and all probabilities."""
    order = outcome.rows.argsort()
    kept = (outcome.rows, outcome.labels, outcome.predicted, outcome.probabilities)
    heads = ["image", *(["file"] if files else []), *SEVERAL[1:], *(f"p_{name}" for name in names)]
    rows: list[list[object]] = [[*heads]]
    for image, *classes, values in zip(*(each[order].tolist() for each in kept), strict=True):
        file = [printable(files[image])] if files else []
        several = (names_of_classes(row, names) for row in classes)
        rows.append([image, *file, *several, *(f"{value:.{DIGITS}g}" for value in values)])
    return csv_text(rows)


def names_of_classes(row: Sequence[bool], names: Sequence[str]) -> str:
    return join_class_names(name for name, there in zip(names, row, strict=True) if there)


def true_and_predicted(outcome: AnyEvaluationResult, names: Sequence[str]) -> tuple[Sequence[Any], Sequence[Any]]:
    """The true and the predicted classes of each image, [n], as in `Predictions`."""
    if not isinstance(outcome, MultilabelEvaluationResult):
        return outcome.labels.tolist(), outcome.predicted.tolist()
    names = [printable(name) for name in names]
    labels, predicted = (
        [names_of_classes(row, names) for row in each.tolist()] for each in (outcome.labels, outcome.predicted)
    )
    return labels, predicted


def probability_headings(names: Sequence[str]) -> list[str]:
    if len(names) <= MOST_CLASSES:
        return [f"p_{name}" for name in names]
    top = [f"top{place}{what}" for place in range(1, TOP + 1) for what in ("", "_name", "_p")]
    return ["p_label", *top]


def probability_cells(outcome: EvaluationResult, names: Sequence[str], order: torch.Tensor) -> Iterator[list[object]]:
    assert outcome.probabilities is not None
    classes, values, of_label = (each[order].tolist() for each in outcome.probabilities)
    for numbers, row, label in zip(classes, values, of_label, strict=True):
        written = [f"{value:.{DIGITS}g}" for value in row]
        if len(names) <= MOST_CLASSES:
            yield list(written)
        else:
            triples = ((number, names[number], value) for number, value in zip(numbers, written, strict=True))
            yield [f"{label:.{DIGITS}g}", *(cell for triple in triples for cell in triple)]

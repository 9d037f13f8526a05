"""Labels with one class or several classes per image: what a test keeps of its batches, and its result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multilabel_average_precision,
    multilabel_confusion_matrix,
)

from labbook.files import finite_or_null
from labbook.training.metrics import Metrics

MOST_CLASSES = 100  # up to here, the probability of each class is kept
TOP = 5  # classes kept beyond that


class Probabilities(NamedTuple):
    """Probabilities of n images: of all classes in order, or of the `TOP` most likely ones, most likely first."""

    classes: Tensor  # int64 [n, k]: their classes
    values: Tensor  # float32 [n, k]
    of_label: Tensor  # float32 [n]: of the true class

    @classmethod
    def of(cls, values: Tensor, labels: Tensor) -> "Probabilities":
        """Keep probabilities of float32 [n, classes], given the true classes, int64 [n]."""
        count, classes = values.shape
        of_label = values.gather(1, labels[:, None]).squeeze(1)
        if classes > MOST_CLASSES:
            top = values.topk(TOP)
            return cls(top.indices, top.values, of_label)
        return cls(torch.arange(classes, device=values.device).expand(count, classes), values, of_label)


THRESHOLDS = "thresholds"  # in metrics.json, by class
EVEN = 0.5  # of a class without a chosen threshold


class StepOutput(TypedDict):
    """The return value of `validation_step` and `test_step`, and `outputs` of a callback's `on_validation_batch_end`.

    Each image of a set is in one process's batches only, so a batch may be empty.
    """

    logits: Tensor  # [n, classes]; with `task.tta` the mean over an image's views
    labels: Tensor  # int64 [n]; for several classes per image float32 [n, classes]
    rows: Tensor  # int64 [n]: index of the image in the training or test set


@dataclass(frozen=True)
class EvaluationResult:
    """The result of a test: predictions in the order of the images, on the CPU."""

    figures: Metrics
    confusion: Tensor  # int64 [classes, classes]; rows are true classes
    rows: Tensor  # int64 [n]: index of the image in the test set
    labels: Tensor  # int64 [n]
    predicted: Tensor  # int64 [n]
    confidence: Tensor  # float32 [n]: probability of the predicted class
    probabilities: Probabilities | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the group `metrics`, by name

    def details(self, names: Sequence[str]) -> dict[str, Any]:
        """The entries in metrics.json besides loss and accuracy."""
        return {"test/confusion_matrix": self.confusion.tolist()}


@dataclass(frozen=True)
class MultilabelEvaluationResult:
    """The result of a test with several classes per image, on the CPU."""

    figures: Metrics  # `acc`: images with all classes right at threshold 0.5
    confusion: Tensor  # int64 [classes, 2, 2]: true (0 or 1) by predicted, with the `thresholds`
    rows: Tensor  # int64 [n]: index of the image in the test set
    labels: Tensor  # bool [n, classes]
    probabilities: Tensor  # float32 [n, classes]
    thresholds: Tensor  # float32 [classes]
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the group `metrics`, by name

    @property
    def predicted(self) -> Tensor:
        """The classes with a probability above their threshold, bool [n, classes]."""
        return self.probabilities > self.thresholds

    @property
    def precision(self) -> Tensor:
        """Per class, float64 [classes]: true positives / predicted positives; 0 without predicted positives."""
        return safe_ratio(self.confusion[:, 1, 1], self.confusion[:, :, 1].sum(1))

    @property
    def recall(self) -> Tensor:
        """Per class, float64 [classes]: true positives / positives; nan without positives."""
        return safe_ratio(self.confusion[:, 1, 1], self.images).masked_fill(self.images == 0, torch.nan)

    @property
    def f1(self) -> Tensor:
        """Per class, float64 [classes]: harmonic mean of precision and recall; nan without images."""
        hits = self.confusion[:, 1, 1]
        found = safe_ratio(2 * hits, self.images + self.confusion[:, :, 1].sum(1))
        return found.masked_fill(self.images == 0, torch.nan)

    @property
    def average_precision(self) -> Tensor:
        """Per class, float32 [classes], independent of the threshold; nan without images."""
        there = self.labels.any(0)
        found = torch.full(there.shape, torch.nan)
        if (count := int(there.sum())) > 0:  # torchmetrics warns about classes without images
            labels = self.labels[:, there].long()
            found[there] = multilabel_average_precision(
                self.probabilities[:, there], labels, count, average="none", validate_args=False
            )
        return found

    def details(self, names: Sequence[str]) -> dict[str, Any]:
        """The entries in metrics.json besides loss and accuracy: means over the classes, and each class by name."""
        measures = {"f1": self.f1, "average_precision": self.average_precision}
        means = {"test/macro_f1": self.f1, "test/mean_average_precision": measures["average_precision"]}
        found: dict[str, Any] = {name: values.nanmean().item() for name, values in means.items()}
        by_class = {f"test/{name}_by_class": values for name, values in measures.items()}
        by_class[THRESHOLDS] = self.thresholds
        found |= {name: dict(zip(names, values.tolist(), strict=True)) for name, values in by_class.items()}
        whole: dict[str, Any] = finite_or_null(found)
        return whole

    @property
    def images(self) -> Tensor:
        return self.confusion[:, 1].sum(1)


AnyEvaluationResult = EvaluationResult | MultilabelEvaluationResult


class SingleLabel:
    """Each image has one class: labels int64 [n]."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def of_batch(self, found: StepOutput) -> tuple[Tensor, ...]:
        probabilities = found["logits"].float().softmax(1)
        confidence, predicted = probabilities.max(1)
        labels = found["labels"]
        return found["rows"], labels, predicted, confidence, *Probabilities.of(probabilities, labels)

    def outcome(self, kept: Sequence[Tensor], figures: Metrics, summed: Callable[[Tensor], Tensor]) -> EvaluationResult:
        """The result from the kept parts, on the CPU; `summed` adds a tensor over all processes."""
        rows, labels, predicted, confidence, *probabilities = kept
        confusion = multiclass_confusion_matrix(predicted, labels, self.classes, validate_args=False)
        return EvaluationResult(
            figures, summed(confusion).cpu(), rows, labels, predicted, confidence, Probabilities(*probabilities)
        )


class MultiLabel:
    """Each image has any number of classes: labels float32 [n, classes], from 0 to 1.

    `thresholds` apply to probabilities, float32 [classes].
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.thresholds = torch.full((classes,), EVEN)

    def use_thresholds(self, metrics: Mapping[str, Any], names: Sequence[str]) -> None:
        """Use the thresholds in a run's metrics.json; a class without one keeps 0.5."""
        kept = metrics.get(THRESHOLDS)
        values = [kept.get(name) if isinstance(kept, Mapping) else None for name in names]
        self.thresholds = torch.tensor([value if isinstance(value, float) else EVEN for value in values])

    def scale_thresholds(self, temperature: float) -> None:
        """Change the thresholds so that the classes are the same if logits are divided by a temperature."""
        if temperature != 1:
            self.thresholds = (self.thresholds.logit() / temperature).sigmoid()

    def of_batch(self, found: StepOutput) -> tuple[Tensor, ...]:
        return found["rows"], found["labels"] > EVEN, found["logits"].float().sigmoid()

    def outcome(
        self, kept: Sequence[Tensor], figures: Metrics, summed: Callable[[Tensor], Tensor]
    ) -> MultilabelEvaluationResult:
        """The result from the kept parts, on the CPU; `summed` adds a tensor over all processes."""
        rows, labels, probabilities = kept
        predicted = (probabilities > self.thresholds).long()
        confusion = multilabel_confusion_matrix(predicted, labels.long(), self.classes, validate_args=False)
        return MultilabelEvaluationResult(
            figures, summed(confusion).cpu(), rows, labels, probabilities, self.thresholds
        )


def safe_ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Quotient of counts, float64; 0 if the divisor is 0."""
    return part.double() / whole.clamp(min=1)


def best_thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The threshold of each class with the highest F1, float32 [classes].

    Args:
        probabilities: float32 [n, classes].
        labels: bool [n, classes]; a class without images gets 0.5.
    """
    return torch.stack([best_threshold(*each) for each in zip(probabilities.T, labels.T, strict=True)])


def best_threshold(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The threshold of one class, a scalar: in the middle of two probabilities, or between the lowest one and 0."""
    values, order = probabilities.sort(descending=True, stable=True)
    hits = labels[order].long().cumsum(0)
    if not len(hits) or not hits[-1]:
        return torch.tensor(EVEN)
    next_ones = torch.cat([values[1:], values.new_zeros(1)])
    taken = torch.arange(1, len(values) + 1)
    f1 = torch.where(values > next_ones, 2 * hits / (taken + hits[-1]), -1)  # equal probabilities stay together
    best = int(f1.argmax())
    return (values[best] + next_ones[best]) / 2

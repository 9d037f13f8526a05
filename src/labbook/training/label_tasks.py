"""What labels are, of one class or of several for an image: what a test keeps of its batches, and what it found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypedDict

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multilabel_average_precision,
    multilabel_confusion_matrix,
)

from labbook.files import finite_or_null
from labbook.training.metrics import Metrics
from labbook.training.probabilities import Probabilities

THRESHOLDS = "thresholds"  # in metrics.json, by class
EVEN = 0.5  # threshold of a class that none was chosen for


class StepOutput(TypedDict):
    """What `validation_step` and `test_step` return, and a callback's `on_validation_batch_end` is given as `outputs`.

    Each image of a set is in the batch of one process only, so a batch may be empty.
    """

    logits: Tensor  # [n, classes], with `task.tta` the mean over an image's views
    labels: Tensor  # int64 [n]; of several classes for an image float32 [n, classes]
    rows: Tensor  # int64 [n]: which images of the training or test set


@dataclass(frozen=True)
class EvaluationResult:
    """What a test found: predictions in the order of the images, on the CPU."""

    figures: Metrics
    confusion: Tensor  # int64 [classes, classes], rows are the true classes
    rows: Tensor  # int64 [n]: which images of the test set
    labels: Tensor  # int64 [n]
    predicted: Tensor  # int64 [n]
    confidence: Tensor  # float32 [n]: probability of the predicted class
    probabilities: Probabilities | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)  # those of the group `metrics`, by name

    def details(self, names: Sequence[str]) -> dict[str, Any]:
        """What metrics.json has of it besides loss and accuracy."""
        return {"test/confusion_matrix": self.confusion.tolist()}


@dataclass(frozen=True)
class MultilabelEvaluationResult:
    """What a test found of images with several classes each, on the CPU."""

    figures: Metrics  # `acc`: images whose classes are all right, each by the threshold 0.5
    confusion: Tensor  # int64 [classes, 2, 2], by true (0 or 1) and predicted, by the `thresholds`
    rows: Tensor  # int64 [n]: which images of the test set
    labels: Tensor  # bool [n, classes]
    probabilities: Tensor  # float32 [n, classes]
    thresholds: Tensor  # float32 [classes]
    metrics: Mapping[str, float] = field(default_factory=dict)  # those of the group `metrics`, by name

    @property
    def predicted(self) -> Tensor:
        """The classes whose probability is above their threshold, bool [n, classes]."""
        return self.probabilities > self.thresholds

    @property
    def precision(self) -> Tensor:
        """Of each class, float64 [classes]: of the images taken for it, the part that is of it; 0 where none is."""
        return safe_ratio(self.confusion[:, 1, 1], self.confusion[:, :, 1].sum(1))

    @property
    def recall(self) -> Tensor:
        """Of each class, float64 [classes]: of its images, the part that is taken for it; nan where there are none."""
        return safe_ratio(self.confusion[:, 1, 1], self.images).masked_fill(self.images == 0, torch.nan)

    @property
    def f1(self) -> Tensor:
        """Of each class, float64 [classes]: harmonic mean of precision and recall; nan where it has no image."""
        hits = self.confusion[:, 1, 1]
        found = safe_ratio(2 * hits, self.images + self.confusion[:, :, 1].sum(1))
        return found.masked_fill(self.images == 0, torch.nan)

    @property
    def average_precision(self) -> Tensor:
        """Of each class, float32 [classes], whatever the threshold; nan where it has no image."""
        there = self.labels.any(0)
        found = torch.full(there.shape, torch.nan)
        if (count := int(there.sum())) > 0:  # torchmetrics warns of those without images
            labels = self.labels[:, there].long()
            found[there] = multilabel_average_precision(
                self.probabilities[:, there], labels, count, average="none", validate_args=False
            )
        return found

    def details(self, names: Sequence[str]) -> dict[str, Any]:
        """What metrics.json has of it besides loss and accuracy: means over the classes, and each class by its name."""
        measures = {"f1": self.f1, "average_precision": self.average_precision}
        means = {"test/macro_f1": self.f1, "test/mean_average_precision": measures["average_precision"]}
        found: dict[str, Any] = {name: values.nanmean().item() for name, values in means.items()}
        by_class = {f"test/{name}_by_class": values_by_name(names, values) for name, values in measures.items()}
        whole: dict[str, Any] = finite_or_null(found | by_class | {THRESHOLDS: values_by_name(names, self.thresholds)})
        return whole

    @property
    def images(self) -> Tensor:
        """Images of each class, int64 [classes]."""
        return self.confusion[:, 1].sum(1)


AnyEvaluationResult = EvaluationResult | MultilabelEvaluationResult


class SingleLabel:
    """Each image has one class: labels int64 [n]."""

    metric_task: ClassVar[str] = "multiclass"  # what torchmetrics calls it

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def of_batch(self, found: StepOutput) -> tuple[Tensor, ...]:
        """What a test keeps of a batch."""
        probabilities = found["logits"].float().softmax(1)
        confidence, predicted = probabilities.max(1)
        labels = found["labels"]
        return found["rows"], labels, predicted, confidence, *Probabilities.of(probabilities, labels)

    def outcome(self, kept: Sequence[Tensor], figures: Metrics, summed: Callable[[Tensor], Tensor]) -> EvaluationResult:
        """From what was kept, on the CPU; `summed` adds a tensor up over all processes."""
        rows, labels, predicted, confidence, *probabilities = kept
        confusion = multiclass_confusion_matrix(predicted, labels, self.classes, validate_args=False)
        return EvaluationResult(
            figures, summed(confusion).cpu(), rows, labels, predicted, confidence, Probabilities(*probabilities)
        )


class MultiLabel:
    """Each image has any number of classes: labels float32 [n, classes], 0 or 1 or what lies between.

    `thresholds` are of the probabilities, float32 [classes].
    """

    metric_task: ClassVar[str] = "multilabel"

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.thresholds = torch.full((classes,), EVEN)

    def use_thresholds(self, metrics: Mapping[str, Any], names: Sequence[str]) -> None:
        """Take those of a run's metrics.json; a class that it does not have keeps 0.5."""
        kept = metrics.get(THRESHOLDS)
        kept = kept if isinstance(kept, Mapping) else {}
        values = [kept.get(name, EVEN) for name in names]
        self.thresholds = torch.tensor([value if isinstance(value, float) else EVEN for value in values])

    def of_batch(self, found: StepOutput) -> tuple[Tensor, ...]:
        """What a test keeps of a batch."""
        return found["rows"], found["labels"] > EVEN, found["logits"].float().sigmoid()

    def outcome(
        self, kept: Sequence[Tensor], figures: Metrics, summed: Callable[[Tensor], Tensor]
    ) -> MultilabelEvaluationResult:
        """From what was kept, on the CPU; `summed` adds a tensor up over all processes."""
        rows, labels, probabilities = kept
        predicted = (probabilities > self.thresholds).long()
        confusion = multilabel_confusion_matrix(predicted, labels.long(), self.classes, validate_args=False)
        return MultilabelEvaluationResult(
            figures, summed(confusion).cpu(), rows, labels, probabilities, self.thresholds
        )


def values_by_name(names: Sequence[str], values: Tensor) -> dict[str, float]:
    """A value of each class, [classes], by its name."""
    return dict(zip(names, values.tolist(), strict=True))


def safe_ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Counts as parts of others, float64; 0 of nothing."""
    return part.double() / whole.clamp(min=1)


def best_thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The threshold of each class by which its F1 is highest, float32 [classes].

    Args:
        probabilities: float32 [n, classes].
        labels: bool [n, classes]; a class without an image gets 0.5.
    """
    return torch.stack([best_threshold(*each) for each in zip(probabilities.T, labels.T, strict=True)])


def best_threshold(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Of one class, a scalar: in the middle between two probabilities, or between the lowest one and 0."""
    values, order = probabilities.sort(descending=True, stable=True)
    hits = labels[order].long().cumsum(0)
    if not len(hits) or not hits[-1]:
        return torch.tensor(EVEN)
    next_ones = torch.cat([values[1:], values.new_zeros(1)])
    taken = torch.arange(1, len(values) + 1)
    f1 = torch.where(values > next_ones, 2 * hits / (taken + hits[-1]), -1)  # equal probabilities stay together
    best = int(f1.argmax())
    return (values[best] + next_ones[best]) / 2

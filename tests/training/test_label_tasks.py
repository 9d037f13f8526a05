"""Images with several classes: what is counted, which thresholds are chosen, what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import (
    multilabel_average_precision,
    multilabel_exact_match,
    multilabel_f1_score,
    multilabel_precision,
    multilabel_recall,
)

from labbook.data.checking import check_label_table
from labbook.data.image_spec import ImageSpec, class_counts, label_combinations
from labbook.errors import SettingError
from labbook.models.mlp import MLP
from labbook.training.classifier import Task
from labbook.training.label_tasks import MultiLabel, StepOutput, best_thresholds
from labbook.training.losses import BinaryCrossEntropy
from labbook.training.metrics import Metrics, RunningMetrics

SPEC = ImageSpec(1, 4, ("a", "b", "c"), (0.0,), (1.0,), multilabel=True)
RANDOM = torch.Generator().manual_seed(0)
LOGITS = torch.randn(50, 3, generator=RANDOM)
LABELS = (torch.rand(50, 3, generator=RANDOM) < 0.4).float()
ALIKE: dict[str, Any] = {"num_labels": 3, "average": "none"}


def test_an_image_is_right_where_all_of_its_classes_are() -> None:
    sums = RunningMetrics()
    sums.update(torch.tensor(1.0), LOGITS[:30], LABELS[:30])
    sums.update(torch.tensor(2.0), LOGITS[30:], LABELS[30:])
    expected = multilabel_exact_match(LOGITS.sigmoid(), LABELS.long(), 3).item()
    assert Metrics.of(sums.total()).acc == pytest.approx(expected)


def test_the_figures_of_a_test_are_those_of_torchmetrics() -> None:
    task = MultiLabel(3)
    task.thresholds = torch.tensor([0.3, 0.5, 0.6])
    kept = task.of_batch(StepOutput(logits=LOGITS, labels=LABELS, rows=torch.arange(50)))
    found = task.outcome(kept, Metrics(0, 0, 0, 50), lambda values: values)
    p, predicted, labels = LOGITS.sigmoid(), (LOGITS.sigmoid() > task.thresholds).long(), LABELS.long()
    assert torch.equal(found.predicted.long(), predicted)
    for measure, values in (
        (multilabel_precision, found.precision),
        (multilabel_recall, found.recall),
        (multilabel_f1_score, found.f1),
    ):
        torch.testing.assert_close(values.float(), measure(predicted, labels, **ALIKE))
    torch.testing.assert_close(found.average_precision, multilabel_average_precision(p, labels, **ALIKE))
    details = found.details(SPEC.class_names)
    assert details["test/macro_f1"] == pytest.approx(multilabel_f1_score(predicted, labels, 3).item())
    assert details["thresholds"] == pytest.approx({"a": 0.3, "b": 0.5, "c": 0.6})


def test_a_class_without_images_has_no_figures() -> None:
    task = MultiLabel(2)
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    kept = task.of_batch(StepOutput(logits=torch.ones(2, 2), labels=labels, rows=torch.arange(2)))
    details = task.outcome(kept, Metrics(0, 0, 0, 2), lambda values: values).details(("a", "b"))
    assert details["test/f1_by_class"] == {"a": pytest.approx(2 / 3), "b": None}
    assert details["test/average_precision_by_class"]["b"] is None
    assert details["test/macro_f1"] == pytest.approx(2 / 3)


def test_thresholds_have_the_highest_f1() -> None:
    p, labels = LOGITS.sigmoid(), LABELS.bool()
    chosen = best_thresholds(p, labels)
    best = multilabel_f1_score((p > chosen).long(), labels.long(), **ALIKE)
    for threshold in torch.linspace(0, 1, 101):
        assert (multilabel_f1_score((p > threshold).long(), labels.long(), **ALIKE) <= best + 1e-6).all()


@pytest.mark.parametrize(
    ("probabilities", "labels", "expected"),
    [
        ([0.9, 0.6, 0.2], [1, 1, 0], 0.4),
        ([0.9, 0.5, 0.5], [1, 1, 0], 0.25),  # equal ones are taken or left together
        ([0.4, 0.2], [0, 0], 0.5),
        ([], [], 0.5),
    ],
)
def test_a_threshold_lies_between_two_probabilities(
    probabilities: list[float], labels: list[int], expected: float
) -> None:
    found = best_thresholds(torch.tensor(probabilities)[:, None], torch.tensor(labels).bool()[:, None])
    assert found.tolist() == pytest.approx([expected])


@pytest.mark.parametrize("kept", [None, {"a": 0.3}, {"a": "x", "b": 1}, [1]])
def test_thresholds_that_a_run_does_not_have_are_a_half(kept: Any) -> None:
    task = MultiLabel(2)
    task.use_thresholds({"thresholds": kept}, ("a", "b"))
    assert task.thresholds.tolist() == pytest.approx([0.3 if kept == {"a": 0.3} else 0.5, 0.5])


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (Task(), "CrossEntropyLoss needs one class per image, and these have several: use loss=bce"),
        (Task(loss=BinaryCrossEntropy, mixup=0.2), "task.mixup needs one class per image"),
        (Task(loss=BinaryCrossEntropy, cutmix=1), "task.cutmix needs one class per image"),
    ],
)
def test_what_is_for_one_class_each_is_refused(task: Task, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        MLP(SPEC, task)
    MLP(SPEC, Task(loss=nn.MultiLabelSoftMarginLoss))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.tensor([0, 1]), r"not \[2\]"),
        (torch.zeros(2, 4), r"not \[2, 4\]"),
        (torch.tensor([[0, 1, 2], [0, 0, 0]]), "one is 2"),
        (torch.tensor([[0, 1, torch.nan], [0, 0, 0]]), "one is nan"),
        ([[0, 1, 0]] * 2, "not list"),
    ],
)
def test_labels_that_do_not_fit_are_refused_in_a_sentence(labels: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        check_label_table("Mine.read: the test set", labels, 2, 3)


def test_labels_of_both_kinds_are_counted_and_named() -> None:
    table = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 0, 1]]).float()
    assert class_counts(table, 3).tolist() == [2, 0, 2]
    assert class_counts(torch.tensor([2, 0, 2]), 3).tolist() == [1, 0, 2]
    same: Tensor = label_combinations(table)
    assert same[0] == same[2] != same[1]
    assert [SPEC.name_of(row) for row in table] == ["a|c", "–", "a|c"]
    assert SPEC.probabilities(table).sum() == pytest.approx(4 * 0.731059 + 5 * 0.5, abs=1e-4)

"""The training task: figures against torchmetrics, optimizers, schedules."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning import Trainer
from torchmetrics.classification import MulticlassRecall
from torchmetrics.functional.classification import multiclass_accuracy

from labbook.callbacks.evaluation_metrics import EvaluationMetrics
from labbook.callbacks.gradient_norms import GradientNorms
from labbook.data.digits import Digits
from labbook.data.loader import Batch
from labbook.errors import TrainingError
from labbook.models.mlp import MLP
from labbook.training import schedulers
from labbook.training.classifier import Task
from labbook.training.metrics import Metrics, RunningMetrics
from labbook.training.optimizers import has_fused


def trainer(**options: object) -> Trainer:
    return Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **options,
    )  # fmt: skip


def test_sums_are_the_means_over_all_images() -> None:
    torch.manual_seed(1)
    logits, labels = torch.randn(50, 12), torch.randint(0, 12, (50,))
    sums = RunningMetrics(top5=True)
    for part in (slice(0, 32), slice(32, 50)):
        sums.update(F.cross_entropy(logits[part], labels[part]), logits[part], labels[part])
    figures = Metrics.of(sums.total())
    assert figures.images == 50
    assert figures.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
    assert figures.acc == pytest.approx(multiclass_accuracy(logits, labels, 12, average="micro").item())
    top5 = multiclass_accuracy(logits, labels, 12, average="micro", top_k=5)
    assert figures.top5_acc == pytest.approx(top5.item())


def test_counts_are_exact_whatever_the_precision_of_the_losses() -> None:
    logits, sums = torch.eye(10, dtype=torch.bfloat16).repeat(40, 1), RunningMetrics(top5=True)
    labels = (torch.arange(400) + (torch.arange(400) >= 301)) % 10  # bfloat16 has no 301
    sums.update(torch.tensor(1.0, dtype=torch.bfloat16), logits, labels)
    assert sums.state()[:2] == [400.0, 301.0]


def batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    torch.manual_seed(2)
    drawn = [(torch.randn(size, 10), torch.randint(0, 10, (size,))) for size in torch.randint(1, 9, (count,)).tolist()]
    return [(F.cross_entropy(logits, labels), logits, labels) for logits, labels in drawn]


@settings(max_examples=20)
@given(st.sets(st.integers(0, 149)))
def test_sums_are_the_same_bits_wherever_a_checkpoint_is_made(stops: set[int]) -> None:
    whole, parts = RunningMetrics(top5=True), RunningMetrics(top5=True)
    for index, batch in enumerate(batches(150)):
        whole.update(*batch)
        parts.update(*batch)
        if index in stops:
            state, parts = parts.state(), RunningMetrics(top5=True)
            parts.load(state)
    assert whole.state() == parts.state()
    assert whole.images == sum(len(labels) for _, _, labels in batches(150))


def test_few_batches_wait_where_they_are_large() -> None:
    sums = RunningMetrics()
    logits = torch.zeros(RunningMetrics.numbers // 1000 // 2 + 1, 1000)
    labels = torch.zeros(len(logits), dtype=torch.int64)
    sums.update(torch.tensor(0.0), logits, labels)
    assert sums.images == 0
    sums.update(torch.tensor(0.0), logits, labels)
    assert sums.images == 2 * len(labels)


def test_large_images_do_not_wait_on_a_cpu() -> None:
    small, large = RunningMetrics(image_numbers=28**2), RunningMetrics(image_numbers=3 * 224**2)
    for sums in (small, large):
        sums.update(torch.tensor(0.0), torch.zeros(64, 2), torch.zeros(64, dtype=torch.int64))
    assert (small.images, large.images) == (0, 64)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_bad_loss_is_named(bad: float) -> None:
    sums = RunningMetrics()
    for step, (loss, *rest) in enumerate(batches(10), 1):
        sums.update(torch.tensor(bad) if step >= 7 else loss, *rest, step=step)
    with pytest.raises(TrainingError, match=r"in step 7; try a smaller optimizer\.lr"):
        sums.flush()


def test_a_bad_loss_is_found_without_being_asked() -> None:
    sums = RunningMetrics()
    *before, (last, *rest) = batches(RunningMetrics.steps)
    for step, (loss, *others) in enumerate(before, 1):
        sums.update(torch.tensor(float("nan")) if step == 3 else loss, *others, step=step)
    with pytest.raises(TrainingError, match="in step 3"):
        sums.update(last, *rest, step=RunningMetrics.steps)


def test_a_bad_loss_of_validation_is_a_figure_like_others() -> None:
    sums = RunningMetrics()
    for _, *rest in batches(3):
        sums.update(torch.tensor(float("nan")), *rest)
    assert math.isnan(Metrics.of(sums.total()).loss)


def test_label_smoothing_reaches_the_loss() -> None:
    data = Digits(val_fraction=0.0)
    data.setup()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    plain, smoothed = (MLP(data.spec, Task(label_smoothing=amount)) for amount in (0.0, 0.3))
    smoothed.load_state_dict(plain.state_dict())
    losses = []
    for model in (plain, smoothed):
        model.trainer = trainer()
        losses.append(model.training_step(batch, 0).item())
    logits = plain(batch.images)
    assert losses[0] == pytest.approx(F.cross_entropy(logits, batch.labels).item(), rel=1e-5)
    assert losses[1] == pytest.approx(F.cross_entropy(logits, batch.labels, label_smoothing=0.3).item(), rel=1e-5)


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_schedules_reach_their_end_with_the_training(interval: str) -> None:
    data = Digits(val_fraction=0.0, limit=128, batch_size=32)
    cosine = partial(schedulers.cosine, interval=interval)
    model = MLP(data.spec, Task(partial(torch.optim.SGD, lr=0.5), cosine), )  # fmt: skip
    fitted = trainer(max_epochs=3, limit_val_batches=0)
    fitted.fit(model, datamodule=data)
    assert fitted.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_a_scheduler_of_torch_works_too() -> None:
    data = Digits(val_fraction=0.0, limit=64)
    exponential = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    model = MLP(data.spec, Task(partial(torch.optim.SGD, lr=1.0), exponential))
    fitted = trainer(max_epochs=2, limit_val_batches=0)
    fitted.fit(model, datamodule=data)
    assert fitted.optimizers[0].param_groups[0]["lr"] == 0.25


def test_fused_where_there_is_one() -> None:
    assert has_fused(partial(torch.optim.Adam, lr=0.1))
    assert has_fused(torch.optim.SGD)
    assert not has_fused(torch.optim.RMSprop)
    assert not has_fused(partial(torch.optim.Adam, fused=False))


def test_the_outcome_of_a_test_is_what_the_network_says() -> None:
    data = Digits()
    data.setup()
    model = MLP(data.spec).eval()
    trainer().test(model, datamodule=data, verbose=False)
    outcome = model.outcome
    assert outcome is not None
    pixels, labels = data.parts["test"][:2]
    logits = model(data.spec.normalize(pixels))
    assert outcome.figures.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert torch.equal(outcome.predicted, logits.argmax(1))
    assert torch.equal(outcome.labels, labels)
    assert torch.equal(outcome.rows, torch.arange(360))
    assert outcome.confusion.sum() == 360
    for true, predicted in zip(labels, outcome.predicted, strict=True):
        assert outcome.confusion[true, predicted] > 0
    assert outcome.confusion.diagonal().sum() / 360 == pytest.approx(outcome.figures.acc)


def test_an_image_without_weight_does_not_count() -> None:
    data = Digits()
    data.setup()
    model = MLP(data.spec)
    model.trainer = trainer()
    images = data.spec.normalize(data.parts["train"].pixels[:1])
    label = data.parts["train"].labels[:1]
    loss = model.training_step(Batch(images, label, torch.tensor([0]), True, 0, 0, weight=0.0), 0)
    assert loss.item() == 0.0
    assert model._train.images == 0


def test_metrics_of_an_epoch_are_float64_for_all_that_read_them() -> None:
    data = Digits(image_size=8, batch_size=50, limit=200)
    model = MLP(data.spec, width=4)
    callbacks = [GradientNorms(), EvaluationMetrics({"recall": MulticlassRecall(10)})]
    fitted = trainer(max_epochs=1, callbacks=callbacks)
    fitted.fit(model, datamodule=data)
    metrics = fitted.callback_metrics
    assert {"train/acc", "val/top5_acc", "val/recall", "gradient/head"} <= metrics.keys()
    assert {value.dtype for value in metrics.values()} == {torch.float64}
    accuracy = metrics["train/acc"].item()
    assert accuracy == round(180 * accuracy) / 180

"""A metric and a callback of somebody's own, on validation and test."""

import pytest
import torch
from mylab.callbacks import Unsure
from mylab.metrics import WorstRecall
from pytorch_lightning import Callback
from torchmetrics.functional.classification import multiclass_recall

from labbook.callbacks.evaluation_metrics import EvaluationMetrics
from labbook.data.digits import Digits
from labbook.models.mlp import MLP
from tests.training.test_classifier import trainer


def test_they_are_given_all_images() -> None:
    data = Digits(image_size=8, batch_size=50, limit=500)
    model = MLP(data.spec)
    callbacks: list[Callback] = [Unsure(), EvaluationMetrics({"worst_recall": WorstRecall(10)})]
    fitted = trainer(callbacks=callbacks, max_epochs=3)
    fitted.fit(model, datamodule=data)
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
    with torch.no_grad():
        logits = torch.cat([model(batch.images) for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    recalls = multiclass_recall(logits, labels, 10, average="none")
    found = fitted.callback_metrics
    assert found["val/worst_recall"].item() == pytest.approx(recalls[labels.bincount(minlength=10) > 0].min().item())
    first, second = logits.softmax(1).topk(2).values.T
    assert found["val/unsure"].item() == pytest.approx((first - second < 0.1).float().mean().item())
    fitted.test(model, datamodule=data, verbose=False)
    assert fitted.callback_metrics["test/worst_recall"].item() == pytest.approx(WorstRecall(10)(
        model.outcome.probabilities.values, model.outcome.labels  # type: ignore[union-attr]
    ).item())  # fmt: skip

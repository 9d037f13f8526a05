"""An average of the weights against a loop written out, and that it is what is validated, saved and tested."""

import copy
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from labbook.callbacks.ema import EMA
from labbook.callbacks.lookahead import float_state
from labbook.data.datamodule import Split
from labbook.data.digits import Digits
from labbook.inference.evaluate.evaluate_run import evaluate_run
from labbook.runs.resume import read_run_config
from labbook.training.classifier import Classifier
from labbook.training.label_tasks import EvaluationResult
from tests.callbacks.test_lookahead import digits, fitted, network, steps_of
from tests.conftest import Command
from tests.test_train import metrics_of, rows_of, weights_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # that a loader has few workers


def by_hand(model: Classifier, data: Digits, epochs: int, decay: float, every: int) -> dict[str, torch.Tensor]:
    """The same training, written out: its average."""
    average = copy.deepcopy(float_state(model))
    for step in steps_of(model, data, epochs):
        kept = min(decay, (1 + step) / (10 + step))
        if step % every == 0:
            average = {name: kept * average[name] + (1 - kept) * new for name, new in float_state(model).items()}
    return average


class Kept(Callback):
    """The weights that the training has at the start and the end of every epoch, and those of every validation."""

    def __init__(self) -> None:
        self.starts: list[dict[str, torch.Tensor]] = []
        self.ends: list[dict[str, torch.Tensor]] = []
        self.validated: list[dict[str, torch.Tensor]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        if batch_idx == 0:
            self.starts.append(copy.deepcopy(float_state(pl_module)))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if trainer.is_last_batch:
            self.ends.append(copy.deepcopy(float_state(pl_module)))

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        self.validated.append(copy.deepcopy(float_state(pl_module)))


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("decay", "every"), [(0.9, 1), (0.3, 1), (0.9, 4)])
def test_the_network_ends_as_the_average_written_out(decay: float, every: int) -> None:
    data = digits()
    model = fitted(network(data), data, 2, EMA(decay, every))
    for name, expected in by_hand(network(data), digits(), 2, decay, every).items():
        torch.testing.assert_close(float_state(model)[name], expected, atol=1e-6, rtol=1e-5, msg=name)


def test_the_training_goes_on_from_its_own_weights_and_the_average_is_validated() -> None:
    data = Digits(val_fraction=0.2, limit=96, batch_size=16, image_size=8)
    kept = Kept()
    model = network(data)
    fitted(model, data, 3, EMA(0.9), kept, limit_val_batches=1.0)
    assert same(kept.starts[1], kept.ends[0])
    assert same(kept.starts[2], kept.ends[1])
    assert len(kept.validated) >= 3
    assert same(kept.validated[-1], float_state(model))
    assert not same(kept.ends[-1], float_state(model))
    plain, alone = network(data), Kept()
    fitted(plain, data, 3, alone, limit_val_batches=1.0)
    assert same(kept.ends[-1], alone.ends[-1])  # the average leaves no trace in the training


QUICK = (
    "model=deep_convnet", "model.channels=[4,8]", "model.hidden=16", "optimizer=sgd_momentum", "trainer.precision=32",
    "epochs=3", "data.limit=320", "logger=none", "callbacks=ema", "callbacks.pictures=null", "callbacks.ema.decay=0.8",
)  # fmt: skip


def again(run: Path, split: Split, weights: str | None) -> EvaluationResult:
    return evaluate_run(run, read_run_config(run), split, weights)[0]


def test_what_is_saved_as_the_best_was_validated_and_is_tested_again_alike(labbook: Command) -> None:
    run = labbook(*QUICK).run
    metrics, rows = metrics_of(run), rows_of(run)
    tested = again(run, "test", None).figures
    assert (tested.loss, tested.acc) == (metrics["test/loss"], metrics["test/acc"])
    for weights, row in (("best", rows[metrics["tested_epoch"] - 1]), ("last", rows[-1])):
        figures = again(run, "val", weights).figures
        assert (figures.loss, figures.acc) == (float(row["val/loss"]), float(row["val/acc"]))
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    trained = content["training_weights"]
    assert not same(trained, {name: item for name, item in weights_of(run).items() if name in trained})


@pytest.mark.slow
def test_a_run_does_not_go_on_without_its_average(labbook: Command) -> None:
    run = labbook(*QUICK, "epochs=1").run
    metrics = metrics_of(run)
    refused = labbook(f"resume={run}", "epochs=2", "callbacks=none")
    assert refused.code == 2
    assert refused.sentence == (
        "this run was started with an average of its weights: resume it with callbacks=ema or swa, as before"
    )
    assert metrics_of(run) == metrics
    assert labbook(f"resume={run}", "epochs=2").code == 0


def test_without_a_best_the_last_average_is_tested(labbook: Command) -> None:
    run = labbook(*QUICK, "test_checkpoint=last", "epochs=1", "data.val_fraction=0").run
    assert again(run, "test", None).figures.loss == metrics_of(run)["test/loss"]

"""Norms of gradients by layer."""

import math
import signal

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn
from torch.amp import GradScaler

from labbook.callbacks.gradient_norms import GradientNorms, parameters_by_owner
from labbook.data.digits import Digits
from labbook.models.mlp import MLP
from labbook.training.classifier import Task
from tests.conftest import Command
from tests.runs.test_resume import signal_at
from tests.test_train import rows_of, without_times

CPU = torch.device("cpu")
# A learning rate of 0, so that every batch meets the same weights.
FUSED = Task(optimizer=lambda parameters, fused: torch.optim.SGD(parameters, lr=0.0, fused=fused))
PLAIN = Task(optimizer=lambda parameters: torch.optim.RMSprop(parameters, lr=0.0))
NAMES = ["gradient/layers.0", "gradient/layers.2", "gradient/head"]


def network(task: Task = PLAIN) -> tuple[MLP, Digits]:
    torch.manual_seed(0)
    data = Digits(batch_size=32)
    return MLP(data.spec, task, depth=2, width=9), data


def logged(model: MLP, data: Digits, **options: object) -> dict[str, float]:
    """The norms that one epoch reports."""
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=1, limit_val_batches=0, callbacks=[GradientNorms()], **options,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    return {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("gradient/")}


def losses(model: MLP, data: Digits, count: int) -> list[Tensor]:
    """Of the first `count` training batches."""
    data.setup()
    given = [batch for batch, _ in zip(data.train_dataloader(), range(count), strict=False)]
    seen = [data.on_after_batch_transfer(data.transfer_batch_to_device(batch, CPU, 0), 0) for batch in given]
    return [F.cross_entropy(model(batch.images), batch.labels) for batch in seen]


def by_hand(model: MLP, loss: Tensor) -> list[float]:
    """The norms of the layers' gradients."""
    model.zero_grad()
    loss.backward()
    layers = (model.layers[0], model.layers[2], model.head)
    return [torch.cat([item.grad.flatten() for item in layer.parameters()]).norm().item() for layer in layers]


def test_the_norms_are_those_by_hand_in_the_order_of_the_network() -> None:
    model, data = network()
    expected = by_hand(model, losses(model, data, 1)[0])
    found = logged(model, data, limit_train_batches=1)
    assert list(found) == NAMES
    assert list(found.values()) == pytest.approx(expected, rel=1e-5)


def test_an_epoch_has_the_mean_over_its_steps() -> None:
    model, data = network()
    each = [by_hand(model, loss) for loss in losses(model, data, 3)]
    expected = [sum(values) / 3 for values in zip(*each, strict=True)]
    assert list(logged(model, data, limit_train_batches=3).values()) == pytest.approx(expected, rel=1e-5)


def test_gathered_batches_are_one_step_and_clipping_comes_after() -> None:
    model, data = network()
    expected = by_hand(model, torch.stack(losses(model, data, 2)).mean())
    found = logged(model, data, limit_train_batches=2, accumulate_grad_batches=2, gradient_clip_val=1e-3)
    assert list(found.values()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("task", [PLAIN, FUSED], ids=["unscaled before the step", "unscaled in a fused step"])
@pytest.mark.parametrize("scale", [2.0**10, 2.0**30], ids=["in range", "at first too large"])
def test_scaled_16_bit_gradients_are_measured_unscaled(task: Task, scale: float) -> None:
    model, data = network(task)
    each = [by_hand(model, loss) for loss in losses(model, data, 40)]
    scaler = GradScaler("cpu", init_scale=scale)
    found = logged(model, data, limit_train_batches=40, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    assert (scaler.get_scale() < scale) == (scale > 2**20), "it shrinks where steps were skipped"
    expected = [sum(values) / len(each) for values in zip(*each, strict=True)]
    assert list(found.values()) == pytest.approx(expected, rel=0.1)


def test_an_epoch_without_a_step_has_no_norms() -> None:
    model, data = network()
    plugin = MixedPrecision("16-mixed", "cpu", GradScaler("cpu", init_scale=2.0**60))
    assert all(map(math.isnan, logged(model, data, limit_train_batches=1, plugins=[plugin]).values()))


class Odd(nn.Module):
    """Parameters of its own, a layer that is frozen and one that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.block = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2, bias=False))


def test_layers_are_the_modules_with_parameters_that_training_changes() -> None:
    found = {name: len(parameters) for name, parameters in parameters_by_owner(Odd()).items()}
    assert found == {"Odd": 1, "block.0": 2, "block.2": 1}


def test_a_layer_that_is_not_used_has_no_gradient() -> None:
    model, data = network()
    model.unused = nn.Linear(3, 3)
    found = logged(model, data, limit_train_batches=1)
    assert found["gradient/unused"] == 0
    assert found["gradient/head"] > 0


# In a run --------------------------------------------------------------------------------------------------------

QUICK = ("model=mlp", "trainer.precision=32", "callbacks=none", "logger=none")
NORMS = "+callbacks.gradient_norms._target_=labbook.callbacks.gradient_norms.GradientNorms"


@pytest.mark.slow
def test_a_deep_sigmoid_network_shows_its_vanishing_gradient(labbook: Command) -> None:
    first, last = "gradient/layers.0", "gradient/head"
    deep = ("model.depth=6", NORMS, "epochs=1")
    row = rows_of(labbook(*QUICK, *deep, "model.activation=sigmoid").run)[0]
    assert float(row[first]) < 1e-3 * float(row[last])
    row = rows_of(labbook(*QUICK, *deep, "model.activation=relu").run)[0]
    assert float(row[first]) > 0.1 * float(row[last])
    found = [name for name in row if name.startswith("gradient/")]
    assert found == [*(f"gradient/layers.{number}" for number in (0, 2, 4, 6, 8, 10)), "gradient/head"]


def test_measuring_changes_nothing(labbook: Command) -> None:
    plain, measured = (labbook(*QUICK, "data.limit=300", "epochs=2", *more).run for more in ((), (NORMS,)))
    kept = without_times(plain)[0].keys()
    assert not [name for name in kept if "gradient" in name]
    assert [{name: row[name] for name in kept} for row in without_times(measured)] == without_times(plain)


@pytest.mark.slow
def test_an_interrupted_epoch_has_the_norms_of_all_its_steps(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = (*QUICK, "epochs=3", NORMS)
    whole = labbook(*settings).run
    signal_at(monkeypatch, "on_train_batch_end", 1, 7, signal.SIGINT)
    stopped = labbook(*settings)
    assert stopped.code == 130
    resumed = labbook(f"resume={stopped.run}")
    assert resumed.code == 0, resumed.err
    assert "gradient/head" in rows_of(whole)[1]
    assert without_times(whole) == without_times(resumed.run)

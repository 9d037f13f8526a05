"""Steps of several batches, and steps of a limited length."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from labbook.data.digits import Digits
from labbook.models.mlp import MLP
from labbook.training import schedulers
from labbook.training.classifier import Classifier, Task
from labbook.training.optimizers import steps_per_epoch
from tests.callbacks.test_lookahead import fitted

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # that a loader has few workers


def digits(batch_size: int, limit: int, **options: bool) -> Digits:
    data = Digits(val_fraction=0.0, limit=limit, batch_size=batch_size, image_size=8, **options)
    data.setup()
    return data


def network(data: Digits, task: Task) -> Classifier:
    torch.manual_seed(0)
    return MLP(data.spec, task, width=8)


# The last step has all its batches, one that is smaller, fewer of them, or one smaller one alone.
@pytest.mark.parametrize("limit", [96, 90, 84, 76])
@pytest.mark.parametrize("factory", [schedulers.cosine, schedulers.one_cycle])
def test_several_batches_to_a_step_are_one_larger_batch(limit: int, factory: object) -> None:
    weights = []
    for batch_size, every in ((24, 1), (8, 3)):
        data = digits(batch_size, limit)
        task = Task(partial(torch.optim.SGD, lr=0.5, momentum=0.9), partial(factory, interval="step"))  # type: ignore[call-overload]
        model = fitted(network(data, task), data, 2, accumulate_grad_batches=every)
        rate = model.trainer.optimizers[0].param_groups[0]["lr"]
        weights.append([*model.parameters(), torch.tensor(rate)])
        assert model.trainer.global_step == 2 * 4
    for one, other in zip(*weights, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_gradient_is_clipped_to_its_norm(precision: str) -> None:
    data = digits(32, 32)
    lengths = []
    for limit in (None, 1e-3):
        model = network(data, Task(partial(torch.optim.SGD, lr=1.0)))
        before = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        fitted(model, data, 1, gradient_clip_val=limit, precision=precision)
        after = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
        lengths.append((after - before).norm().item())
    assert lengths[0] > 0.1
    assert lengths[1] == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(("processes", "accumulated", "steps"), [(1, 1, 3), (2, 1, 2), (3, 1, 1), (2, 2, 1)])
def test_each_process_takes_the_steps_of_its_part_of_an_own_loader(
    processes: int, accumulated: int, steps: int
) -> None:
    data = SimpleNamespace(train_dataloader=lambda: DataLoader(TensorDataset(torch.zeros(50, 1)), batch_size=20))
    trainer = SimpleNamespace(
        datamodule=data, limit_train_batches=1.0, accumulate_grad_batches=accumulated, world_size=processes
    )
    assert steps_per_epoch(trainer) == steps  # type: ignore[arg-type]

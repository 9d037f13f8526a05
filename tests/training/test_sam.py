"""Sharpness-aware minimisation against a loop written out, and what it refuses."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from labbook.data.digits import Digits
from labbook.errors import SettingError
from labbook.models.deep_convnet import DeepConvNet
from labbook.training import sam
from labbook.training.classifier import Classifier, Task
from tests.callbacks.test_lookahead import digits, fitted

RHO = 0.5
SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # that a loader has few workers


def network(data: Digits, rho: float) -> Classifier:
    torch.manual_seed(0)
    model = DeepConvNet(data.spec, Task(SGD, sam=rho), channels=[4], hidden=8, dropout=0.5)
    torch.manual_seed(1)  # of the training
    return model


def by_hand(model: Classifier, data: Digits, clip: float | None, bf16: bool) -> float:
    """An epoch written out; the mean loss of the first passes."""
    optimizer = SGD(model.parameters())
    losses = []
    for batch in data.train_dataloader():
        images = data.on_after_batch_transfer(batch, 0).images

        def loss_of(images: torch.Tensor = images, labels: torch.Tensor = batch.labels) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False):
                return F.cross_entropy(model(images), labels)

        optimizer.zero_grad()
        state = torch.get_rng_state()
        loss = loss_of()
        loss.backward()
        losses.append(loss.item())
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
        weights = [item.detach().clone() for item in model.parameters()]
        gradients = [item.grad.clone() for item in model.parameters()]
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        with torch.no_grad():
            for item, gradient in zip(model.parameters(), gradients, strict=True):
                item += RHO * gradient / norm
        optimizer.zero_grad()
        torch.set_rng_state(state)
        loss_of().backward()
        with torch.no_grad():
            for item, weight in zip(model.parameters(), weights, strict=True):
                item.copy_(weight)
            for name, buffer in model.named_buffers():
                buffer.copy_(statistics[name])
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return sum(losses) / len(losses)


@pytest.mark.parametrize(("clip", "bf16"), [(None, False), (0.1, False), (None, True)])
def test_it_is_the_loop_written_out(clip: float | None, bf16: bool) -> None:
    data, losses = digits(), []
    model = network(data, RHO)
    original = model._report
    model._report = lambda stage, sums: (losses.append(sums.total()), original(stage, sums))  # type: ignore[method-assign]
    precision = "bf16-mixed" if bf16 else "32-true"
    fitted(model, data, 1, gradient_clip_val=clip, precision=precision)
    expected = network(data, 0.0)
    loss = by_hand(expected, digits(), clip, bf16)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], atol=1e-6, rtol=1e-5, msg=name)
    assert int(model.features[1].num_batches_tracked) == 6
    (total,) = losses
    assert total[-1] == 96  # every image once
    assert total[0] / total[-1] == pytest.approx(loss, rel=1e-5)


def test_it_is_another_step_than_that_of_the_gradient() -> None:
    weights = [fitted(network(digits(), rho), digits(), 1).classifier[-1].weight for rho in (0.0, RHO)]
    assert not torch.allclose(*weights)


def test_what_two_passes_do_not_go_with_is_refused() -> None:
    sam.check_sam(1, "32-true")
    sam.check_sam(1, "bf16-mixed")
    with pytest.raises(SettingError, match=r"^task\.sam does not work with scaled gradients: use trainer\.precision="):
        sam.check_sam(1, "16-mixed")
    with pytest.raises(SettingError, match=r"use trainer\.accumulate_grad_batches=1$"):
        sam.check_sam(2)

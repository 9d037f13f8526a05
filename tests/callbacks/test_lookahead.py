"""Lookahead against a loop written out, and what a checkpoint keeps of it."""

import copy
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from pytorch_lightning import Callback, Trainer

from labbook.callbacks.ema import EMA
from labbook.callbacks.lookahead import Lookahead, float_state
from labbook.data.digits import Digits
from labbook.models.deep_convnet import DeepConvNet
from labbook.runs.run_id import run_id
from labbook.training.classifier import Classifier, Task
from tests.conftest import Command
from tests.runs.test_resume import signal_at
from tests.test_train import same_weights, weights_of, without_times

SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)


def digits() -> Digits:
    data = Digits(val_fraction=0.0, limit=96, batch_size=16, image_size=8)  # 6 steps an epoch
    data.setup()
    return data


def network(data: Digits) -> Classifier:
    torch.manual_seed(0)
    return DeepConvNet(data.spec, Task(SGD), channels=[4], hidden=8, dropout=0.0)


def fitted(model: Classifier, data: Digits, epochs: int, *callbacks: Callback, **options: object) -> Classifier:
    Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=list(callbacks), logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        **({"limit_val_batches": 0} | options),
    ).fit(model, datamodule=data)  # fmt: skip
    return model


def steps_of(model: Classifier, data: Digits, epochs: int) -> Iterator[int]:
    """Training written out: the number of each step, when it is done."""
    optimizer, step = SGD(model.parameters()), 0
    loader = data.train_dataloader()
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        for batch in loader:
            optimizer.zero_grad()
            images = data.on_after_batch_transfer(batch, 0).images
            F.cross_entropy(model(images), batch.labels).backward()
            optimizer.step()
            step += 1
            yield step


def by_hand(model: Classifier, data: Digits, epochs: int, every: int, decay: float) -> Classifier:
    """The same training, written out."""
    slow = copy.deepcopy(float_state(model))
    for step in steps_of(model, data, epochs):
        if step % every == 0:
            kept = decay**every * (step / (6 * epochs)) ** 3
            for name, fast in float_state(model).items():
                slow[name] = kept * slow[name] + (1 - kept) * fast
                fast.copy_(slow[name])
    for name, fast in float_state(model).items():
        fast.copy_(slow[name])
    return model


@pytest.mark.filterwarnings("ignore::UserWarning")  # that a loader has few workers
@pytest.mark.parametrize(("epochs", "every"), [(2, 5), (3, 3), (1, 7)])
def test_it_is_the_loop_written_out(epochs: int, every: int) -> None:
    data = digits()
    model = fitted(network(data), data, epochs, Lookahead(every, 0.9))
    expected = by_hand(network(data), digits(), epochs, every, 0.9)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], atol=1e-6, rtol=1e-5, msg=name)
    plain = fitted(network(data), digits(), epochs)
    assert not torch.allclose(plain.classifier[-1].weight, model.classifier[-1].weight)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("make", [lambda: Lookahead(4, 0.9), lambda: EMA(0.9)], ids=["lookahead", "ema"])
def test_the_same_callback_restarts_with_another_network(make: Callable[[], Callback]) -> None:
    data, used = digits(), make()
    fitted(network(data), data, 1, used)
    again = fitted(network(data), digits(), 1, used)
    expected = fitted(network(data), digits(), 1, make())
    assert all(torch.equal(own, other) for own, other in zip(again.parameters(), expected.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_step_of_several_batches_counts_once() -> None:
    data = digits()
    callback = Lookahead(2, 0.9)
    met: list[int] = []
    original = callback.on_train_batch_end

    def watched(trainer: Trainer, *rest: object) -> None:
        before = callback.step
        original(trainer, *rest)  # type: ignore[arg-type]
        met.extend([callback.step] if callback.step != before else [])

    callback.on_train_batch_end = watched  # type: ignore[method-assign]
    fitted(network(data), data, 3, callback, accumulate_grad_batches=2)
    assert met == [2, 4, 6, 8, 9]


QUICK = (
    "model=deep_convnet", "model.channels=[4,8]", "model.hidden=16", "optimizer=sgd_momentum", "trainer.precision=32",
    "epochs=3", "data.limit=320", "logger=none", "callbacks=lookahead", "callbacks.pictures=null",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2, 3])  # of five an epoch: before, at and after a meeting every three steps
def test_an_interrupted_run_ends_with_the_same_bits(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    settings = (*QUICK, "callbacks.lookahead.every=3")
    whole = labbook(*settings).run
    signal_at(monkeypatch, "on_train_batch_end", 1, batch, signal.SIGINT)
    stopped = labbook(*settings)
    assert stopped.code == 130
    resumed = labbook(f"resume={stopped.run}")
    assert resumed.code == 0, resumed.err
    assert same_weights(whole, resumed.run)
    assert without_times(whole) == without_times(resumed.run)


@pytest.mark.slow
def test_the_last_checkpoint_holds_the_slow_copy(labbook: Command) -> None:
    run = labbook(*QUICK).run
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    slow = content["callbacks"]["Lookahead"]["slow"]
    weights = weights_of(run)
    assert {name for name, item in weights.items() if item.is_floating_point()} == slow.keys()
    assert all(torch.equal(weights[name], slow[name]) for name in slow)


@pytest.mark.slow
def test_it_is_part_of_what_a_run_is(labbook: Command) -> None:
    def named(*settings: str) -> str:
        run: Path = labbook("model=mlp", "debug=fast", "logger=none", *settings).run
        return run_id(OmegaConf.load(run / "config.yaml"))

    assert named("callbacks=none") == named("callbacks=default") != named("callbacks=lookahead")

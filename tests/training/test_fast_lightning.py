"""What is left out of a step changes nothing that anybody asked for."""

import os
import platform
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.profilers import PassThroughProfiler, SimpleProfiler

from labbook.data.digits import Digits
from labbook.models.mlp import MLP
from labbook.training import fast_lightning
from labbook.training.task import Task
from tests.conftest import Command


class Listener(Callback):
    """Counts what it is called for, through one hook of its class, one of the instance and the rest unused."""

    def __init__(self) -> None:
        self.starts, self.zeroed = 0, 0
        self.on_before_zero_grad = self.zero  # type: ignore[method-assign]
        self.within: list[Any] = []

    def zero(self, *_: Any) -> None:
        self.zeroed += 1

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.starts += 1
        self.within = [type(trainer.profiler), pl_module.on_before_backward, self.on_after_backward]


class Failing(Callback):
    """One that ends the fit."""

    def on_train_batch_end(self, *_: Any) -> None:
        raise ZeroDivisionError


class Late(Callback):
    """One that gives the network a hook while it is being fitted."""

    seen = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.on_after_backward = self.see  # type: ignore[method-assign]

    def see(self) -> None:
        self.seen += 1


class Listening(MLP):
    """A network with a hook of its own."""

    seen = 0

    def on_after_backward(self) -> None:
        """Count gradients."""
        self.seen += all(item.grad is not None for item in self.parameters())


def fit(model: LightningModule, data: Digits, *callbacks: Callback, **options: Any) -> Trainer:
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_train_batches=5, limit_val_batches=1, callbacks=list(callbacks), **options,
    )  # fmt: skip
    with fast_lightning.without_unused_hooks(trainer, model):
        trainer.fit(model, datamodule=data)
    return trainer


@pytest.fixture
def data() -> Digits:
    return Digits(image_size=28, batch_size=8)


def test_hooks_that_someone_listens_to_are_called(data: Digits) -> None:
    listener, model = Listener(), Listening(data.spec)
    fit(model, data, listener)
    assert (listener.starts, listener.zeroed, model.seen) == (5, 5, 5)


def test_hooks_that_nobody_listens_to_are_not_there_meanwhile(data: Digits) -> None:
    listener = Listener()
    fit(MLP(data.spec), data, listener)
    assert listener.within == [fast_lightning.NoProfiler, None, None]


def names(owner: Any) -> set[str]:
    return {name for name in vars(owner) if name.startswith(("on_", "configure_"))}


def test_everything_is_as_before_afterwards_also_after_a_failure(data: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fast_lightning.ASK_NVML, "1")
    listener, model = Listener(), MLP(data.spec)
    before = [names(owner) for owner in (listener, model)]
    trainer = fit(model, data, listener)
    with pytest.raises(ZeroDivisionError):
        fit(model, data, listener, Failing())
    assert [names(owner) for owner in (listener, model)] == before
    assert type(trainer.profiler) is PassThroughProfiler
    assert os.environ[fast_lightning.ASK_NVML] == "1"
    model.on_train_batch_start(None, 0)
    listener.on_after_backward(trainer, model)


def test_a_hook_that_comes_during_the_fit_is_called_and_stays(data: Digits) -> None:
    late, model = Late(), MLP(data.spec)
    fit(model, data, late)
    assert late.seen == 5
    model.on_after_backward()
    assert late.seen == 6


def test_an_optimizer_with_its_own_zero_grad_keeps_it(data: Digits) -> None:
    class Counting(torch.optim.SGD):
        calls = 0

        def zero_grad(self, set_to_none: bool = True) -> None:
            Counting.calls += 1
            super().zero_grad(set_to_none)

    fit(MLP(data.spec, Task(optimizer=partial(Counting, lr=0.1))), data)
    assert Counting.calls == 5


def test_the_weights_are_the_same_bits_as_without(data: Digits) -> None:
    torch.manual_seed(0)
    ours, plain = MLP(data.spec), MLP(data.spec)
    plain.load_state_dict(ours.state_dict())
    fit(ours, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_lightning, "HOOKS", ())
        patch.setattr(MLP, "optimizer_zero_grad", LightningModule.optimizer_zero_grad)
        patch.setattr(MLP, "__setattr__", LightningModule.__setattr__)
        fit(plain, data)
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def test_clipping_that_was_asked_for_happens(data: Digits) -> None:
    norms: list[float] = []

    class Norm(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            gradients = [item.grad.flatten() for item in pl_module.parameters() if item.grad is not None]
            norms.append(torch.cat(gradients).norm().item())

    fit(MLP(data.spec), data, Norm(), gradient_clip_val=0.01)
    assert len(norms) == 5
    assert max(norms) <= 0.0101


def test_a_profiler_that_was_asked_for_measures(data: Digits) -> None:
    profiler = SimpleProfiler(dirpath=None)
    fit(MLP(data.spec), data, profiler=profiler)
    assert len(profiler.recorded_durations["run_training_batch"]) == 5


# Counts how often the system gives a page of memory while tensors of 64 MiB come and go.
FAULTS = """
import resource, sys, torch
from labbook.training import fast_lightning

def faults():
    torch.ones(2**24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(16): torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given = faults()
fast_lightning.reuse_freed_memory()
print(given, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this to be told")
@pytest.mark.slow
def test_memory_is_kept_for_the_next_step() -> None:
    ended = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True)
    given, kept = map(int, ended.stdout.split())
    assert kept <= given / 8


def test_memory_is_kept_on_a_cpu_unless_asked_not_to(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(fast_lightning, "reuse_freed_memory", lambda: kept.append(True))
    assert labbook("model=mlp", "callbacks=none", "logger=none", "debug=fast", "reuse_freed_memory=false").code == 0
    assert kept == []
    assert labbook("model=mlp", "callbacks=none", "logger=none", "debug=fast").code == 0
    assert kept == [True]

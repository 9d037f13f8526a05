"""Stochastic weight averaging against a mean written out."""

import signal
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from labbook.callbacks.lookahead import float_state
from labbook.callbacks.swa import SWA
from labbook.data.digits import Digits
from labbook.errors import SettingError
from tests.callbacks.test_ema import same
from tests.callbacks.test_lookahead import fitted, network
from tests.conftest import Command
from tests.models.conftest import Small
from tests.runs.test_killed import same_in_all
from tests.runs.test_resume import signal_at

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Ends(Callback):
    """The training weights at the end of each epoch, and what is validated."""

    def __init__(self) -> None:
        self.ends: list[dict[str, torch.Tensor]] = []
        self.validated: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.is_last_batch:
            self.ends.append({name: item.clone() for name, item in float_state(pl_module).items()})

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.validated.append({name: item.clone() for name, item in float_state(pl_module).items()})


def digits() -> Digits:
    return Digits(val_fraction=0.2, limit=96, batch_size=16, image_size=8)


@pytest.mark.parametrize("start", [1, 2, 3])
def test_the_mean_of_the_last_epochs_is_validated_and_kept(start: int) -> None:
    kept, alone, data = Ends(), Ends(), digits()
    model = fitted(network(data), data, 3, SWA(start), kept, limit_val_batches=1.0)
    fitted(network(data), digits(), 3, alone, limit_val_batches=1.0)
    assert all(same(one, other) for one, other in zip(kept.ends, alone.ends, strict=True))  # no trace in the training
    buffers = {name for name, _ in model.named_buffers()}
    assert any("running_mean" in name for name in buffers)
    for name, found in float_state(model).items():
        mean = torch.stack([end[name] for end in kept.ends[start - 1 :]]).mean(0)
        if name not in buffers:
            torch.testing.assert_close(found, mean, atol=1e-6, rtol=1e-5)
    if start < 3:
        assert not same(kept.ends[-1], float_state(model))
    assert same(kept.validated[-1], float_state(model))


def test_batch_norm_has_the_statistics_of_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Digits(val_fraction=0.2, limit=96, batch_size=16, image_size=8, channels=3, augment=[])
    data.setup()
    model = Small()
    fitted(model, data, 2, SWA())
    inputs = torch.cat([model.conv(batch.images) for batch in data.make_loader("train")])
    batches = inputs.split(16)
    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    variances = torch.stack([batch.var((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(model.norm.running_mean, means, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.norm.running_var, variances, atol=1e-5, rtol=1e-4)
    assert model.norm.momentum == 0.1


@pytest.mark.parametrize(
    ("hook", "batch"),
    [("on_train_batch_end", 2), ("on_train_batch_end", 4), ("on_validation_batch_end", 0)],
)
@pytest.mark.slow  # EMA, which replaces the weights too, is resumed in tests/runs/test_killed.py
def test_a_run_resumes_to_the_same_bits(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, hook: str, batch: int
) -> None:
    command = (
        "model=deep_convnet", "model.channels=[4,8]", "model.hidden=16", "trainer.precision=32", "epochs=3",
        "data.limit=300", "logger=none", "callbacks=swa", "callbacks.pictures=null",
    )  # fmt: skip
    whole = labbook(*command)
    assert whole.code == 0, whole.err
    signal_at(monkeypatch, hook, 1, batch, signal.SIGINT)
    stopped = labbook(*command)
    assert stopped.code == 130
    resumed = labbook(f"resume={stopped.run}")
    assert resumed.code == 0, resumed.err
    same_in_all(whole.run, resumed.run)


def test_what_does_not_go_together_is_refused(labbook: Command) -> None:
    with pytest.raises(SettingError, match=r"callbacks\.swa\.start=4 is after the last epoch: use 1 to 3"):
        fitted(network(digits()), digits(), 3, SWA(4))
    ended = labbook("model=mlp", "data.limit=50", "epochs=1", "callbacks=[ema,swa]")
    assert ended.sentence == "callbacks.swa and callbacks.ema both replace the weights: use one of them"

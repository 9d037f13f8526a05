"""`find_lr.py`: the learning rate range test, its proposals, and what it refuses."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from labbook import fit
from labbook.callbacks import lr_range_test
from labbook.callbacks.lr_range_test import LearningRateRangeTest, propose_rates
from labbook.cli.commands import find_lr
from labbook.errors import TrainingError
from tests.composing import composed
from tests.conftest import Command
from tests.own.conftest import PROJECT

QUICK = ("model=mlp", "data=digits", "data.limit=100", "trainer=cpu", "trainer.precision=32", "--steps", "24")


@pytest.fixture
def finder(
    script: Callable[[ModuleType], Command], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, labbook: Command
) -> Command:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    return script(find_lr)


def test_rates_are_proposed_and_the_curve_is_drawn(finder: Command) -> None:
    first = finder(*QUICK)
    assert first.code == 0, first.err
    found = re.findall(r"^(?:steepest|minimum / 10|valley) +[\d.e-]+ +(?:the|a) ", first.out, re.MULTILINE)
    assert len(found) == 3
    assert f"python train.py {' '.join(QUICK[:5])} optimizer.lr=" in first.out
    assert [path.name for path in Path().iterdir()] == ["find_lr_mlp_digits.png"]
    with Image.open("find_lr_mlp_digits.png") as plot:
        assert plot.size == (840, 540)


@pytest.mark.slow
def test_the_same_command_proposes_the_same(finder: Command) -> None:
    first, again = finder(*QUICK), finder(*QUICK, "--output", "curve.svg", "callbacks=ema", "scheduler=onecycle")
    assert first.code == again.code == 0, first.err + again.err
    assert first.out.splitlines()[:3] == again.out.splitlines()[:3]
    assert "<svg" in Path("curve.svg").read_text()


def test_each_step_has_its_rate_and_groups_keep_their_ratios() -> None:
    config = composed(
        *QUICK[:5], "model=lenet5", "scheduler=onecycle", "task.backbone_lr_factor=0.1", "optimizer.lr=0.5",
        "optimizer=sgd", "++trainer.min_epochs=9",
    )  # fmt: skip
    seen = []

    class Watched(LearningRateRangeTest):
        def on_train_batch_start(self, trainer: object, *_: object) -> None:
            seen.append(sorted({group["lr"] for group in trainer.optimizers[0].param_groups}))  # type: ignore[attr-defined]

    test = Watched(1e-4, 1e-2, 5)
    fit.run_range_test(config, test)
    assert len(test.losses) == 5
    np.testing.assert_allclose(seen, [[rate / 10, rate] for rate in np.geomspace(1e-4, 1e-2, 5)])


@pytest.mark.slow
def test_accumulated_batches_are_one_step_and_a_loss_that_diverges_ends_the_test() -> None:
    config = composed(*QUICK[:5], "data.batch_size=25", "trainer.accumulate_grad_batches=2", "optimizer=sgd")
    test = LearningRateRangeTest(1e-3, 1e9, 30)
    fit.run_range_test(config, test)
    assert 3 < len(test.losses) < 30
    assert test.losses[0] == pytest.approx(np.log(10), rel=0.2)  # the mean of two batches


RATES = np.geomspace(1e-6, 10, 100)
FALL = 2.3 - 1.5 / (1 + (1e-3 / RATES) ** 2)  # falls fastest at 1e-3


def test_the_proposals_are_where_the_curve_says() -> None:
    losses = FALL + np.where(RATES > 0.1, 30 * (RATES - 0.1), 0)
    steepest, tenth, valley = (item.rate for item in propose_rates(RATES, losses))
    assert steepest == pytest.approx(1e-3, rel=0.2)
    assert 1e-3 < tenth < 1e-2
    assert 1e-3 < valley < 1e-2
    lower = np.concatenate([np.full(50, losses[0]), losses])  # a range that begins at 3e-10
    assert [item.rate for item in propose_rates(np.geomspace(RATES[0] * 10**-3.5, 10, 150), lower)] == pytest.approx(
        [steepest, tenth, valley], rel=0.1
    )


@pytest.mark.parametrize("losses", [2.3 + RATES, np.random.default_rng(0).normal(2.3, 0.1, 100), np.empty(0)])
def test_a_loss_that_does_not_fall_proposes_nothing(losses: lr_range_test.Values) -> None:
    with pytest.raises(TrainingError, match="the loss does not fall in this range"):
        propose_rates(RATES[: len(losses)], losses)


@pytest.mark.slow
def test_own_modules_are_tested_if_they_have_one_optimizer(finder: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABBOOK_PROJECT", str(PROJECT))
    own = ("--config-dir", str(PROJECT / "configs"), *QUICK[2:])
    ended = finder(*own, "model=autoencoder", "data=digits", "objective=val/loss")
    assert ended.code == 0, ended.err
    assert Path("find_lr_autoencoder_digits.png").is_file()
    assert finder(*own, "model=gan", "data=digits", "objective=g_loss").sentence == (
        "a learning rate range test needs automatic optimization, and GAN has its own steps"
    )


def test_weights_are_loaded_before_the_test(tmp_path: Path, finder: Command) -> None:
    torch.save({"a.weight": torch.zeros(3)}, "some.pth")
    assert "some.pth" in finder(*QUICK, "model.weights=some.pth").sentence


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("sweep=smoke", "sweep=smoke makes several runs: find-lr tests one run"),
        ("seeds=3", "seeds=3 makes several runs: find-lr tests one run, or use seed=N for another seed"),
        ("seed=1,2", "seed=1,2 gives several values: find-lr tests one run"),
        ("model=[mlp]", "model=[mlp]: model is one of its choices, model=CHOICE"),
    ],
)
def test_several_runs_are_refused(finder: Command, setting: str, sentence: str) -> None:
    assert finder(*QUICK, setting).sentence.startswith(sentence)

"""A loss of the user's own in a file of the group `loss`, and a network with a loss of its own."""

from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from mylab.losses import PolyLoss
from mylab.models.own_loss import Confident
from torch.nn import functional as F

from labbook.data.digits import Digits
from labbook.training.classifier import Task
from tests.conftest import Command

LOGITS = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([3, 1, 4, 1])


@pytest.fixture
def own(mylab: Command) -> Command:
    """A quick training with the package of the user's own."""
    return partial(mylab, "debug=fast", "model=mlp", "data.limit=60", "logger=none")


def test_a_loss_of_ones_own_trains_validates_and_tests(own: Command) -> None:
    ended = own("loss=poly", "loss.epsilon=2")
    assert ended.code == 0, ended.err
    saved = yaml.safe_load((ended.run / "config.yaml").read_text())
    assert (saved["loss"]["epsilon"], saved["config_groups"]["loss"]) == (2, "poly")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["task.label_smoothing=0.1", "loss=poly"], "PolyLoss has no label smoothing"),
        (["loss.class_weights=balanced", "loss=poly"], "PolyLoss has no class weights"),
    ],
)
def test_what_it_does_not_take_is_refused_before_the_training(arguments: list[str], said: str, own: Command) -> None:
    ended = own(*arguments)
    assert (ended.code, Path("logs").exists()) == (2, False)
    assert said in ended.sentence


def test_all_of_training_validation_and_test_use_it() -> None:
    model = Confident(Digits().spec, Task(loss=partial(PolyLoss, epsilon=2)))
    p = LOGITS.softmax(1).gather(1, LABELS[:, None]).squeeze(1)
    expected = (2 * (1 - p) - p.log()).mean() + 0.1 * LOGITS.square().mean()
    for training in (True, False):
        torch.testing.assert_close(model.train(training).loss(LOGITS, LABELS), expected)
    torch.testing.assert_close(model.training_loss([(LOGITS, 1.0), (LOGITS, 0.3)], LABELS), 1.3 * expected)
    plain = Confident(Digits().spec)
    torch.testing.assert_close(
        plain.loss(LOGITS, LABELS) - 0.1 * LOGITS.square().mean(), F.cross_entropy(LOGITS, LABELS)
    )


@pytest.mark.parametrize(("model", "idle"), [pytest.param("own_loss", False, marks=pytest.mark.slow), ("hinge", True)])
def test_what_a_loss_of_the_networks_own_leaves_without_effect_is_said(model: str, idle: bool, own: Command) -> None:
    ended = own(f"model={model}", "loss=focal")
    assert ended.code == 0, ended.err
    assert ("note: loss._target_ has no effect" in ended.out + ended.err) is idle

"""`model.freeze` and `callbacks=unfreeze`: what is trained, and when."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from labbook.callbacks.unfreeze import Unfreeze
from labbook.errors import SettingError
from labbook.training.classifier import Classifier
from labbook.training.freezing import frozen_layers
from tests.conftest import Command
from tests.models.conftest import Small, spec_of
from tests.runs.test_killed import same_in_all
from tests.runs.test_resume import signal_at


@pytest.fixture
def small() -> Small:
    return Small()


def trained(model: nn.Module) -> set[str]:
    return {name.partition(".")[0] for name, item in model.named_parameters() if item.requires_grad}


def in_training(model: nn.Module) -> set[str]:
    names = ("conv", "norm", "dropout", "head")
    return {name for name, module in model.named_children() if module.training and name in names}


@pytest.mark.parametrize(
    ("freeze", "expected"),
    [
        ("none", {"conv", "norm", "dropout", "head"}),
        (None, {"conv", "norm", "dropout", "head"}),
        ("backbone", {"dropout", "head"}),
        (1, {"dropout", "head"}),  # batch norm belongs to the convolution
    ],
)
def test_the_first_layers_are_frozen(freeze: Any, expected: set[str], small: Small) -> None:
    small.freeze_layers(freeze)
    assert trained(small) == expected - {"dropout"}
    for _ in range(2):
        assert in_training(small.train()) == expected
        assert in_training(small.eval()) == set()


def test_batch_norm_rests_while_it_is_frozen_and_learns_afterwards(small: Small) -> None:
    small.freeze_layers("backbone")
    assert small.freezing is not None
    means = [small.norm.running_mean.clone()]  # type: ignore[union-attr]
    for count in (1, 0):
        small.freezing.freeze(count)
        small(torch.randn(4, 3, 8, 8))
        means.append(small.norm.running_mean.clone())  # type: ignore[union-attr]
    assert torch.equal(means[0], means[1])
    assert not torch.equal(means[1], means[2])
    assert in_training(small) == {"conv", "norm", "dropout", "head"}


@pytest.mark.parametrize("unfreezes", [False, True])
def test_the_optimizer_has_what_is_or_will_be_trained(small: Small, unfreezes: bool) -> None:
    small.freeze_layers("backbone")
    small.unfreezes = unfreezes
    found = {id(item) for group in small.parameter_groups() for item in group["params"]}
    assert found == {id(item) for item in (small if unfreezes else small.head).parameters()}


@pytest.mark.parametrize("freeze", [0, 2, -1, True, "head", 1.5])
def test_other_values_are_refused(freeze: Any, small: Small) -> None:
    with pytest.raises(SettingError) as refused:
        small.freeze_layers(freeze)
    assert str(refused.value).startswith(f"model.freeze={freeze} must be none, backbone (all layers except the last)")
    assert trained(small) == {"conv", "norm", "head"}


def test_a_network_of_one_layer_cannot_be_frozen() -> None:
    with pytest.raises(SettingError, match=r"^model\.freeze=backbone would leave nothing to train"):
        frozen_layers("backbone", 1)


class Unordered(Classifier):
    """Registers its layers in another order than it executes them."""

    def __init__(self) -> None:
        super().__init__(spec_of(3, 8))
        self.second, self.first, self.head = nn.Conv2d(5, 5, 3), nn.Conv2d(3, 5, 3), nn.Linear(5 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.second(self.first(images)).flatten(1))
        return logits


class Ordered(Unordered):
    def ordered_layers(self) -> list[list[nn.Module]]:
        return [[self.first], [self.second], [self.head]]


def test_layers_in_an_unknown_order_are_refused() -> None:
    with pytest.raises(SettingError, match="define ordered_layers, the layers from the images to the classes"):
        Unordered().freeze_layers(1)
    model = Ordered()
    model.freeze_layers(1)
    assert trained(model) == {"second", "head"}


def test_layers_that_share_their_weights_with_trained_ones_are_refused() -> None:
    model = Ordered()
    model.first = model.second
    with pytest.raises(SettingError, match=r"^model\.freeze=1 freezes nothing: these layers share their weights"):
        model.freeze_layers(1)


@pytest.mark.parametrize(
    ("options", "frozen"),
    [
        ({"epoch": 3}, [5, 5, 0, 0]),
        ({"epoch": 2, "layers": 2}, [5, 3, 1, 0]),
        ({"epoch": 1, "layers": 1}, [4, 3, 2, 1]),
    ],
)
def test_layers_are_unfrozen_by_epoch(options: dict[str, int], frozen: list[int]) -> None:
    callback = Unfreeze(**options)
    callback.frozen = 5
    assert [callback.frozen_in(epoch) for epoch in (1, 2, 3, 4)] == frozen


@pytest.fixture
def start(labbook: Command) -> list[str]:
    """The command of a run that starts with the weights of another one."""
    network = ["model=convnet", "model.channels=[4,6]", "model.hidden=[8]", "data.limit=300", "trainer.precision=32"]
    weights = labbook(*network, "epochs=1", "callbacks=none").run
    return [*network, f"model.weights={weights}", "model.freeze=backbone", "optimizer=adamw", "epochs=3"]


UNFREEZE = ("callbacks=unfreeze", "callbacks.unfreeze.layers=1")


@pytest.mark.slow
@pytest.mark.parametrize(("epoch", "batch"), [(0, 2), (1, 2)], ids=["before", "after"])
def test_a_run_that_unfreezes_resumes_to_the_same_bits(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, start: list[str], epoch: int, batch: int
) -> None:
    whole = labbook(*start, *UNFREEZE)
    assert whole.code == 0, whole.err
    signal_at(monkeypatch, "on_train_batch_end", epoch, batch, signal.SIGINT)
    stopped = labbook(*start, *UNFREEZE)
    assert stopped.code == 130
    resumed = labbook(f"resume={stopped.run}")
    assert resumed.code == 0, resumed.err
    same_in_all(whole.run, resumed.run)


def test_frozen_layers_stay_to_the_bit_and_change_once_unfrozen(labbook: Command, start: list[str]) -> None:
    frozen = labbook(*start, "callbacks=none", "epochs=1").run
    unfrozen = labbook(*start, *UNFREEZE, "epochs=2")
    assert unfrozen.code == 0, unfrozen.err

    def state(run: Path) -> dict[str, Tensor]:
        found: dict[str, Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        return found

    before = state(Path(start[5].removeprefix("model.weights=")))
    names = list(before)
    assert [name for name in names if not torch.equal(before[name], state(frozen)[name])] == names[-2:]
    assert len([name for name in names if not torch.equal(before[name], state(unfrozen.run)[name])]) > 2


def test_unfreezing_needs_frozen_layers(labbook: Command) -> None:
    ended = labbook("model=mlp", "data.limit=50", "epochs=1", "callbacks=unfreeze")
    assert (ended.code, ended.sentence) == (
        2, "callbacks.unfreeze has no frozen layers: add model.freeze=backbone, or a number",
    )  # fmt: skip

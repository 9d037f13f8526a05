"""What is counted is what can be counted by hand."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from labbook import experiment
from labbook.errors import StoppedBySignal
from labbook.models.mlp import MLP
from labbook.training.capabilities import trainable_parameters
from labbook.training.classifier import Classifier
from labbook.training.hardware import DeviceChoice
from labbook.training.probe import eval_mode, log_exceptions, multiply_adds
from tests.models.conftest import Small, spec_of
from tools.benchmark.bare_loop import Bare
from tools.model_table import costs, survey

CPU = DeviceChoice("cpu", "32-true", False, "")


class Attention(Classifier):
    """Self-attention over the rows of an image, without a dense layer behind."""

    def __init__(self) -> None:
        super().__init__(spec_of(1, 12))
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.squeeze(1)  # [n, 12, 12]
        mixed: Tensor = self.attention(rows, rows, rows, need_weights=False)[0]
        return mixed.flatten(1)[:, :10]


def test_macs_of_a_convolution_and_a_dense_layer(small: Small) -> None:
    assert multiply_adds(small) == 5 * 6 * 6 * 3 * 3 * 3 + 5 * 6 * 6 * 10


def test_macs_of_attention_are_not_lost_to_a_shortcut() -> None:
    rows = width = 12
    projections, products = 4 * rows * width * width, 2 * rows * rows * width
    assert multiply_adds(Attention()) == projections + products


def test_counting_changes_neither_the_network_nor_what_is_drawn_next(small: Small) -> None:
    small.norm.eval()  # as a frozen part of a network that trains
    before = {name: item.clone() for name, item in small.state_dict().items()}
    random = torch.get_rng_state()
    multiply_adds(small)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(item, before[name]) for name, item in small.state_dict().items())
    assert [module.training for module in (small, small.conv, small.norm)] == [True, True, False]


@pytest.mark.parametrize("whole", [True, False])
def test_a_compiled_network_is_compiled_again_afterwards(small: Small, whole: bool) -> None:
    def compiled(*_: object) -> None:
        raise AssertionError("compiled again for a look")

    part = small if whole else small.conv  # as torchvision's networks are compiled inside of ours
    part._compiled_call_impl = compiled
    multiply_adds(small)
    assert part._compiled_call_impl is compiled
    with pytest.raises(KeyError), eval_mode(small):
        raise KeyError
    assert part._compiled_call_impl is compiled


def memory(model: Classifier, count: int) -> int:
    images = torch.rand(count, model.spec.channels, model.spec.size, model.spec.size)
    found = costs.peak_memory(Bare(model, CPU), images, torch.arange(count) % 10)
    assert found is not None
    return found


def test_memory_is_at_least_what_is_known_and_little_more() -> None:
    width, count = 2000, 4
    model = MLP(spec_of(1, 28), width=width)
    weights = 4 * trainable_parameters(model)
    activations = 4 * count * (784 + 2 * width + 10)
    found = memory(model, count)
    assert 0 < found - 4 * weights < 2 * activations  # with gradients and Adam's two averages


def test_memory_grows_with_the_batch_by_what_an_image_takes() -> None:
    found = [memory(Small(), count) for count in (8, 16, 32, 64)]
    grown = [more - less for less, more in itertools.pairwise(found)]
    image = 4 * (3 * 8 * 8 + 3 * 5 * 6 * 6)  # bytes: itself, and what convolution, norm and dropout keep of it
    assert all(count * image <= more < 4 * count * image for count, more in zip((8, 16, 32), grown, strict=True))
    assert memory(Small(), 8) == found[0]


def test_a_pace_is_the_median_without_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, seconds = [0.0], iter([9.0, 0.4, 0.1, 0.2, 0.5, 7.0])

    def step() -> None:
        clock[0] += next(seconds)

    monkeypatch.setattr(costs.time, "process_time", lambda: clock[0])
    assert costs.pace(step, torch.device("cpu"), 60) == pytest.approx(60 / 0.3)
    assert next(seconds) == 7.0  # a second was over before


def test_no_picture_is_worth_a_run_but_a_signal_ends_it() -> None:
    with log_exceptions("picture"):
        raise RuntimeError("no room")

    def stopped() -> None:
        try:
            raise StoppedBySignal(15)
        except StoppedBySignal as stop:
            raise RuntimeError("told otherwise") from stop

    with pytest.raises(StoppedBySignal), log_exceptions("picture"):
        stopped()


def test_what_depends_on_shapes_needs_no_numbers_unless_a_network_asks_for_them() -> None:
    asked = survey.prepared(["mlp"])
    config, data = asked.configs["mlp"], asked.data["mlp"]
    devices: list[str] = []

    def look(model: Classifier, *, asks: bool) -> int:
        devices.append(model.device.type)
        return int(next(model.parameters())[0, 0] < 9) if asks else 0

    experiment.on_meta_device(config, data, lambda model: look(model, asks=False))
    assert devices == ["meta"]
    assert experiment.on_meta_device(config, data, lambda model: look(model, asks=True)) == 1
    assert devices == ["meta", "meta", "cpu"]


class TwoHeads(Small):
    """Small, with an auxiliary classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary = nn.Linear(3 * 8 * 8, 10)

    def training_logits(self, images: Tensor) -> list[tuple[Tensor, float]]:
        return [*super().training_logits(images), (self.auxiliary(images.flatten(1)), 0.3)]


def test_a_bare_step_trains_what_a_run_would() -> None:
    model = TwoHeads()
    before = {name: item.clone() for name, item in model.named_parameters()}
    Bare(model, CPU).step(torch.rand(4, 3, 8, 8), torch.arange(4))
    assert not [name for name, item in model.named_parameters() if torch.equal(item, before[name])]

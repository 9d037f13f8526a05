"""Learning rates by layer: which layers a network has, and the rate of each."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, StepLR

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.training import schedulers
from labbook.training.classifier import Classifier, Task
from labbook.training.optimizers import with_schedule
from labbook.training.parameter_groups import ordered_layers_of
from tests.models.test_airbench94 import small
from tests.models.test_architectures import MODELS, build, spec_of
from tests.training.test_schedulers import ALL

SGD = partial(torch.optim.SGD, lr=0.1, weight_decay=0.01)


def named(network: nn.Module) -> list[str]:
    """The names of the modules of each layer."""
    names = {id(module): name for name, module in network.named_modules()}
    return [" ".join(names[id(module)] for module in layer) for layer in ordered_layers_of(network)]


def rates(model: Classifier, setting: str = "lr") -> dict[str, float]:
    """What each parameter gets of the optimizer, by name; makes sure that each is given once."""
    groups = SGD(model.parameter_groups()).param_groups
    found = {id(item): group[setting] for group in groups for item in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found)
    trained = {name: id(item) for name, item in model.named_parameters() if item.requires_grad}
    assert set(trained.values()) == set(found)
    return {name: found[item] for name, item in trained.items()}


def made(name: str, **task: float) -> Classifier:
    model = build(name)
    model.task = Task(SGD, **task)  # type: ignore[arg-type]
    return model


# Layers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_every_network_has_layers_and_the_last_one_classifies(name: str) -> None:
    model = build(name)
    layers = model.ordered_layers()
    (head,) = layers[-1]
    assert isinstance(head, nn.Linear)
    assert head.out_features == model.spec.num_classes
    inside = [id(item) for layer in layers for module in layer for item in module.parameters()]
    assert len(inside) == len(set(inside))
    outside = {name for name, item in model.named_parameters() if id(item) not in inside}
    assert outside == {name for name, _ in model.named_parameters(recurse=False)}  # tokens and positions


def test_layers_of_our_networks() -> None:
    counts = {"lenet5": 5, "alexnet": 8, "resnet": 1 + 9 + 1, "mlp": 2, "vit": 1 + 2 + 1, "wide_resnet": 1 + 3 + 1}
    assert {name: len(build(name).ordered_layers()) for name in counts} == counts
    assert named(build("deep_convnet"))[:2] == ["features.0 features.1", "features.4 features.5"]  # with its batch norm


class Wrapped(nn.Module):
    def __init__(self, name: str, **options: bool) -> None:
        super().__init__()
        with torch.device("meta"):
            self.network = getattr(torchvision.models, name)(weights=None, **options)


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("resnet18", 10, ["network.conv1 network.bn1", "network.layer1.0"], ["network.layer4.1", "network.fc"]),
        (
            "densenet121",
            63,
            ["network.features.conv0 network.features.norm0", "network.features.denseblock1.denselayer1"],
            ["network.features.denseblock4.denselayer16 network.features.norm5", "network.classifier"],
        ),
        (
            "vit_b_16",
            14,
            ["network.conv_proj", "network.encoder.layers.encoder_layer_0"],
            ["network.encoder.layers.encoder_layer_11 network.encoder.ln", "network.heads.head"],
        ),
    ],
)
def test_layers_of_networks_of_others(name: str, count: int, first: list[str], last: list[str]) -> None:
    layers = named(Wrapped(name))
    assert len(layers) == count
    assert (layers[:2], layers[-2:]) == (first, last)


def test_branches_beside_each_other_are_one_layer() -> None:
    layers = named(Wrapped("googlenet", init_weights=False))
    inception = [f"network.inception{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]
    assert layers[3:12] == inception
    assert layers[-1] == "network.fc"


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.dense = nn.LayerNorm(4), nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))


class Transformer(Classifier):
    def __init__(self, spec: ImageSpec, task: Task) -> None:
        super().__init__(spec, task)
        self.token, self.positions = nn.Parameter(torch.zeros(1, 4)), nn.Parameter(torch.zeros(5, 4))
        self.patches = nn.Conv2d(spec.channels, 4, 4, 4)
        self.blocks = nn.ModuleList(Attention() for _ in range(3))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, spec.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        raise NotImplementedError


def test_tokens_and_positions_learn_as_the_first_layer() -> None:
    found = rates(Transformer(spec_of(3, 8, 10), Task(SGD, layer_lr_decay=0.5)))
    assert found["head.weight"] == 0.1
    assert found["norm.weight"] == found["blocks.2.dense.0.bias"] == found["blocks.2.norm.weight"] == 0.05
    assert found["blocks.0.dense.2.weight"] == 0.0125
    assert found["patches.weight"] == found["token"] == found["positions"] == 0.00625


def test_an_architecture_may_tell_its_layers() -> None:
    class Reversed(Transformer):
        def ordered_layers(self) -> list[list[nn.Module]]:
            return super().ordered_layers()[::-1]

    found = rates(Reversed(spec_of(3, 8, 10), Task(SGD, layer_lr_decay=0.5)))
    assert found["patches.weight"] == 0.1
    assert found["head.weight"] == 0.00625


# Rates -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_the_rate_falls_from_layer_to_layer_towards_the_images(name: str) -> None:
    model = made(name, layer_lr_decay=0.7)
    found = rates(model)
    names = {id(item): key for key, item in model.named_parameters()}
    layers = model.ordered_layers()
    for index, layer in enumerate(reversed(layers)):
        inside = [names[id(item)] for module in layer for item in module.parameters() if item.requires_grad]
        assert [found[name] for name in inside] == pytest.approx([0.1 * 0.7**index] * len(inside))
    assert model.parameter_groups()[0].keys() == {"params"}  # the recorded rate is the optimizer's own


@pytest.mark.parametrize("name", MODELS)
def test_all_but_the_classifying_layer_learn_slower(name: str) -> None:
    model = made(name, backbone_lr_factor=0.1)
    head = {id(item) for module in model.ordered_layers()[-1] for item in module.parameters()}
    slow = {key for key, rate in rates(model).items() if rate == pytest.approx(0.01)}
    assert slow == {key for key, item in model.named_parameters() if id(item) not in head and item.requires_grad}


def test_factors_multiply_and_only_normalisation_decays_less() -> None:
    model = small(spec_of(1, 28, 10), Task(SGD, norm_bias_lr_factor=8.0, layer_lr_decay=0.5, backbone_lr_factor=0.1))
    found, decays, depth = rates(model), rates(model, "weight_decay"), len(model.ordered_layers())
    assert found["head.weight"] == 0.1
    assert found["whitening.bias"] == pytest.approx(0.1 * 0.1 * 0.5 ** (depth - 1))
    biases = [f"{name}.bias" for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    assert found[biases[-1]] == pytest.approx(0.1 * 0.1 * 0.5 * 8)
    assert {key for key, decay in decays.items() if decay != 0.01} == set(biases)
    assert decays[biases[0]] == pytest.approx(0.01 / 8)


# Schedules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factory", "options"), ALL, ids=lambda item: getattr(item, "__name__", ""))
def test_a_schedule_keeps_the_rates_apart(factory: Any, options: dict[str, Any]) -> None:
    optimizer = SGD(made("lenet5", layer_lr_decay=0.5).parameter_groups())
    make = partial(factory, interval="step", **options)
    schedule = with_schedule(optimizer, make, epochs=2, steps_per_epoch=4)["lr_scheduler"]["scheduler"]
    for _ in range(8):
        first, *others = (group["lr"] for group in optimizer.param_groups)
        assert others == pytest.approx([first * 0.5**index for index in (4, 3, 2, 1)])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("schedule", "interval"),
    [(partial(OneCycleLR, max_lr=0.1), "step"), (partial(CyclicLR, base_lr=0.01, max_lr=0.1), "step"),
     (partial(StepLR, step_size=2), "epoch")],
)  # fmt: skip
def test_torchs_own_schedules_are_stepped_as_they_count(schedule: Callable[..., LRScheduler], interval: str) -> None:
    made_of = with_schedule(SGD(made("lenet5").parameter_groups(), momentum=0.9), schedule, epochs=2, steps_per_epoch=5)
    assert made_of["lr_scheduler"]["interval"] == interval
    assert getattr(made_of["lr_scheduler"]["scheduler"], "total_steps", 10) == 10


def test_a_schedule_that_makes_all_rates_one_is_refused() -> None:
    make = partial(OneCycleLR, max_lr=0.1, total_steps=10, cycle_momentum=False)
    with_schedule(SGD(made("lenet5").parameter_groups()), make)
    with pytest.raises(SettingError, match=r"^scheduler: OneCycleLR .* overrides task\.layer_lr_decay"):
        with_schedule(SGD(made("lenet5", layer_lr_decay=0.5).parameter_groups()), make)
    assert schedulers.onecycle in [factory for factory, _ in ALL]

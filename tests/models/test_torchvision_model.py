"""Torchvision's networks keep our contract: any channels, sizes and classes, published weights as plain data."""

import itertools
import math
from collections.abc import Collection, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from _pytest.mark.structures import ParameterSet
from torch import nn
from torchvision.ops import StochasticDepth

from labbook.callbacks import run_description
from labbook.config import instantiate
from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.models import pretrained
from labbook.models.torchvision_model import TorchvisionModel, network_names
from labbook.models.weights import load_weights_from
from labbook.training.capabilities import trainable_parameters
from tests import composing
from tests.composing import OF_TORCHVISION
from tests.models.test_architectures import spec_of

QUICK = "mobilenet_v3_small"

# Channels, pixels and classes: for each network one of them at once, and all where time does not matter.
KINDS = list(itertools.product((1, 3), (28, 32, 64), (2, 10, 100)))
ONE_EACH = dict(
    zip(OF_TORCHVISION, [(1, 28, 10), (3, 32, 2), (3, 28, 100), (1, 32, 10)] * len(OF_TORCHVISION), strict=False)
)
ONLY = {"maxvit_t": 224}  # pixels
LIGHT = (QUICK, "resnet18")  # take little time
PAIRS = [
    pytest.param(name, *kind, marks=[] if ONE_EACH[name] == kind and name in LIGHT else [pytest.mark.slow])
    for name in OF_TORCHVISION
    for kind in KINDS
]


def slow_but(quick: Collection[str], every: Iterable[str]) -> list[ParameterSet]:
    return [pytest.param(name, marks=[] if name in quick else [pytest.mark.slow]) for name in every]


def made(name: str, channels: int = 3, size: int = 32, classes: int = 10, **settings: Any) -> TorchvisionModel:
    torch.manual_seed(0)
    spec = spec_of(channels, ONLY.get(name, size), classes)
    model = instantiate.build_object(composing.node(name), spec=spec, **settings)
    assert isinstance(model, TorchvisionModel)
    return model


def on_meta(name: str, spec: ImageSpec, **settings: Any) -> TorchvisionModel:
    """Shapes without numbers."""
    with torch.device("meta"):
        return TorchvisionModel(spec, name=name, **settings)


@pytest.mark.parametrize(("name", "channels", "size", "classes"), PAIRS)
def test_a_gradient_reaches_every_parameter(name: str, channels: int, size: int, classes: int) -> None:
    model = made(name, channels, size, classes)
    nn.init.normal_(model.network.get_submodule(model.head).weight, std=0.1)  # ViT's begins with zeros
    for layer in model.modules():
        if isinstance(layer, StochasticDepth):  # else both images may do without a block in the same step
            layer.p = 0.0
    labels = torch.arange(2) % classes
    outputs = model.training_logits(torch.randn(2, channels, model.spec.size, model.spec.size))
    assert all(logits.shape == (2, classes) for logits, _ in outputs)
    sum(weight * F.cross_entropy(logits, labels) for logits, weight in outputs).backward()  # type: ignore[union-attr]
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", slow_but((QUICK,), OF_TORCHVISION))
def test_a_training_begins_without_a_preference(name: str) -> None:
    """The loss is that of guessing."""
    model = made(name)
    with torch.no_grad():
        logits, _ = model.training_logits(torch.randn(16, 3, model.spec.size, model.spec.size))[0]
    assert F.cross_entropy(logits, torch.arange(16) % 10).item() == pytest.approx(math.log(10), abs=0.3)


@pytest.mark.parametrize("name", slow_but((QUICK,), OF_TORCHVISION))
def test_weights_survive_saving_with_weights_only(name: str, tmp_path: Path) -> None:
    model = made(name).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other = on_meta(name, model.spec)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True), assign=True)
    images = torch.randn(2, 3, model.spec.size, model.spec.size)
    assert torch.equal(model(images), other.eval()(images))


@pytest.mark.parametrize("name", slow_but((*LIGHT, "googlenet"), network_names()))
def test_for_published_sizes_each_is_the_network_that_was_published(name: str) -> None:
    """As many parameters as torchvision documents, which does not count GoogLeNet's auxiliary classifiers."""
    model = on_meta(name, spec_of(3, pretrained.image_settings(name)["image_size"], 1000))
    auxiliary = sum(item.numel() for path, item in model.named_parameters() if ".aux" in path.lower())
    documented = pretrained.recommended_weights(name).meta["num_params"]
    if name == "inception_v3":  # torchvision counts its auxiliary classifier
        documented -= auxiliary
    assert trainable_parameters(model) - auxiliary == documented
    assert model.num_auxiliary == auxiliary
    assert model.title == name
    without = f" ({documented:,} without auxiliary classifiers)" if auxiliary else ""
    assert run_description.describe_model(model) == f"{name}, {trainable_parameters(model):,} parameters{without}"


@pytest.mark.parametrize(
    "name",
    slow_but(("resnet18", "vgg16_bn"), [*(name for name in OF_TORCHVISION if name not in ONLY), "resnext50_32x4d"]),
)
def test_the_stem_for_small_images_keeps_more_of_them(name: str) -> None:
    """At least half as many pixels more, over all convolutions; VGG has no stem, and takes smaller images instead."""
    seen: dict[bool, int] = {}
    size = 96 if name == "inception_v3" else 64  # which it needs without that stem
    for small in (False, True):
        model = on_meta(name, spec_of(3, size, 10), small_stem=small).eval()
        seen[small] = 0

        def look(_layer: nn.Module, _given: Any, made: torch.Tensor, small: bool = small) -> None:
            seen[small] += made.shape[-1]

        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(look)
        assert model(torch.empty(1, 3, size, size, device="meta")).shape == (1, 10)
    if name.startswith("vgg"):
        assert seen[True] == seen[False]
        assert (
            trainable_parameters(on_meta(name, spec_of(3, 28, 10)))
            < trainable_parameters(on_meta(name, spec_of(3, 65, 10))) / 3
        )
    else:
        assert seen[True] >= 1.5 * seen[False]


@pytest.mark.parametrize(("size", "small"), [(28, True), (64, True), (65, False), (224, False)])
def test_the_size_of_the_images_decides_about_the_stem(size: int, small: bool) -> None:
    model = on_meta("resnet18", spec_of(3, size, 10))
    assert model.small == small
    assert model.network.conv1.stride == ((1, 1) if small else (2, 2))
    assert isinstance(model.network.maxpool, nn.Identity if small else nn.MaxPool2d)
    assert model.title == ("resnet18 (stem for small images)" if small else "resnet18")


@pytest.mark.parametrize("name", slow_but(["vgg16_bn"], ["densenet121", "vgg16_bn", "convnext_tiny", "googlenet"]))
def test_an_image_too_small_is_refused_with_the_smallest_size_that_works(name: str) -> None:
    with pytest.raises(
        SettingError, match=rf"{name} needs images of at least \d+ pixels and the data gives 5: use"
    ) as no:
        on_meta(name, spec_of(1, 5, 10), small_stem=False)
    smallest = int(str(no.value).split("data.image_size=")[1].split()[0])
    on_meta(name, spec_of(1, smallest, 10), small_stem=False)
    with pytest.raises(SettingError):
        on_meta(name, spec_of(1, smallest - 1, 10), small_stem=False)


@pytest.mark.slow
def test_inception_s_auxiliary_classifier_is_there_for_images_that_are_large_enough() -> None:
    assert on_meta("inception_v3", spec_of(3, 298, 10)).num_auxiliary == 0
    model = on_meta("inception_v3", spec_of(3, 299, 10))
    outputs = model.training_logits(torch.empty(2, 3, 299, 299, device="meta"))
    assert [(logits.shape, weight) for logits, weight in outputs] == [((2, 10), 1.0), ((2, 10), 0.4)]
    assert [module.__class__.__name__ for module in model.ordered_layers()[-1]] == ["Linear", "InceptionAux"]


@pytest.mark.slow
def test_maxvit_takes_multiples_of_its_windows() -> None:
    with pytest.raises(
        SettingError, match=r"^images of 300 pixels do not fit the windows of maxvit_t: use data\.image_"
    ) as no:
        on_meta("maxvit_t", spec_of(3, 300, 10))
    assert "data.image_size=224 or 448, or a maxvit" in str(no.value)
    assert on_meta("maxvit_t", spec_of(3, 112, 10), small_stem=True).network.stem[0][0].stride == (1, 1)


@pytest.mark.parametrize("name", [pytest.param("mnasnet0_5", marks=pytest.mark.slow), "squeezenet1_1"])
def test_weights_without_a_version_and_without_a_dense_layer_are_loaded(name: str, tmp_path: Path) -> None:
    model = made(name)
    torch.save(dict(model.network.state_dict()), tmp_path / "weights.pth")
    loaded = load_weights_from(made(name, classes=3), str(tmp_path / "weights.pth"))
    assert loaded.other_shapes == (f"network.{model.head}",)
    model.freeze_layers("backbone")
    assert trainable_parameters(model) == sum(
        item.numel() for item in model.network.get_submodule(model.head).parameters()
    )


@pytest.mark.slow
def test_auxiliary_classifiers_count_in_training_alone() -> None:
    model = made("googlenet")
    images, labels = torch.randn(4, 3, 32, 32), torch.arange(4)
    assert [weight for _, weight in model.training_logits(images)] == [1.0, 0.3, 0.3]
    assert model(images).shape == (4, 10)
    assert [weight for _, weight in model.eval().training_logits(images)] == [1.0]
    model.train()
    before = model.network.aux1.fc2.weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    batch: Any = SimpleNamespace(images=images, labels=labels, weight=1.0, extra={})
    model._trainer = SimpleNamespace(global_step=0, accumulate_grad_batches=1)  # type: ignore[assignment]
    model.training_step(batch, 0).backward()
    optimizer.step()
    assert not torch.equal(model.network.aux1.fc2.weight, before)


# Settings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (QUICK, {"width_mult": 0.5}),
        pytest.param("mobilenet_v2", {"width_mult": 0.35}, marks=pytest.mark.slow),
        pytest.param("densenet121", {"bn_size": 1}, marks=pytest.mark.slow),
    ],
)
def test_options_reach_torchvision(name: str, options: dict[str, Any]) -> None:
    spec = spec_of(3, 32, 10)
    assert trainable_parameters(on_meta(name, spec, options=options)) < trainable_parameters(on_meta(name, spec)) / 1.5


@pytest.mark.slow
def test_an_option_that_torchvision_names_nowhere_but_takes_is_taken() -> None:
    model = on_meta("efficientnet_b0", spec_of(3, 32, 10), options={"dropout": 0.5})
    assert model.network.classifier[0].p == 0.5


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "resnet19"}, "model.name=resnet19 is unknown; did you mean resnet18? choices: convnext_base, "),
        ({"small_stem": True, "pretrained": True}, "model.small_stem=true has no pretrained weights: leave it out, or"),
        ({"options": {"width": 1}}, "model.options.width is none of resnet18; choices: groups, norm_layer, rep"),
        ({"name": "mobilenet_v2", "options": {"width_mul": 1}}, "model.options.width_mul is none of mobilenet_v2; did"
         " you mean width_mult? choices: block, dropout, inverted_residual_setting, norm_layer, round_nearest, width_"),
        ({"options": {"width_per_group": -5}}, "model.options={'width_per_group': -5}: "),
        ({"name": "densenet121", "options": {"drop_rate": 5}}, "model.options={'drop_rate': 5}: "),
        ({"name": QUICK, "options": {"width": 1}}, "model.options.width is none of mobilenet_v3_small; did you mean"
         " width_mult? choices: block, dilated, dropout, norm_layer, reduced_tail, width_mult"),
        ({"name": "convnext_tiny", "options": {"dropout": 1}}, "model.options.dropout is none of convnext_tiny; ch"),
        ({"options": {"weights": "DEFAULT"}}, "model.options.weights is set by the program: model.pretrained"),
        ({"name": "vit_b_16", "small_stem": False}, "images of 36 pixels cannot be cut into patches of 16: use"
         " model.small_stem=true (without pretrained weights), or data.image_size=32 or 48"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError) as refusal:
        TorchvisionModel(spec_of(3, 36, 10), **({"name": "resnet18"} | settings))
    assert str(refusal.value).startswith(sentence)

"""Every architecture in configs/model, found by its file, on every kind of image."""

import itertools
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labbook.config import instantiate
from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.training.capabilities import trainable_parameters
from labbook.training.classifier import Classifier
from tests import composing
from tests.conftest import Command

# Those of torchvision have tests of their own.
MODELS = composing.OWN
SMALLEST = {"cats_dogs_cnn": 179}  # pixels, of those that need more than 28
MULTIPLE = {"vit": 4, "vit_tiny": 4}  # pixels, of those that cut images into patches
# Channels, pixels and classes: each number of classes, in grey and in colour.
QUICK = ((1, 28, 10), (3, 32, 2), (1, 33, 100))
# Settings that make a network small without changing its structure.
SMALL = {
    "alexnet": {"hidden": 64},
    "airbench94": {"widths": [16, 32, 256]},
    "vit": {"depth": 2, "width": 64},
    "vit_tiny": {"depth": 2, "pool": "token"},
    "wide_resnet": {"depth": 10, "width": 1},
}


def spec_of(channels: int, size: int, classes: int) -> ImageSpec:
    names = tuple(f"class {index}" for index in range(classes))
    return ImageSpec(channels, size, names, (0.5,) * channels, (0.5,) * channels)


def build(name: str, channels: int = 1, size: int = 28, classes: int = 10, **settings: object) -> Classifier:
    size = max(size, SMALLEST.get(name, 0)) // MULTIPLE.get(name, 1) * MULTIPLE.get(name, 1)
    spec = spec_of(channels, size, classes)
    torch.manual_seed(0)
    model = instantiate.build_object(composing.node(name), spec=spec, **(SMALL.get(name, {}) | settings))
    assert isinstance(model, Classifier)
    return model


def images_for(model: Classifier, count: int) -> torch.Tensor:
    return torch.randn(count, model.spec.channels, model.spec.size, model.spec.size)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("channels", "size", "classes"),
    [
        pytest.param(*kind, marks=[] if kind in QUICK else [pytest.mark.slow])
        for kind in itertools.product((1, 3), (28, 32, 33, 64), (2, 10, 100))
    ],
)
def test_a_gradient_reaches_every_parameter(name: str, channels: int, size: int, classes: int) -> None:
    model = build(name, channels, size, classes)
    logits = model(images_for(model, 4))
    assert logits.shape == (4, classes)
    F.cross_entropy(logits, torch.arange(4) % classes).backward()
    trained = {name: item for name, item in model.named_parameters() if item.requires_grad}
    assert len(trained) >= 2
    for parameter_name, parameter in trained.items():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


LIGHT = ("lenet5", "mlp", "resnet20")  # learn a batch by heart in a second


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in LIGHT else [pytest.mark.slow]) for name in MODELS]
)
def test_one_batch_is_learned_by_heart(name: str) -> None:
    model = build(name, **({"dropout": 0.0} if "dropout" in composing.node(name) else {}))
    images, labels = images_for(model, 8), torch.arange(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(120):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        if loss.item() < 0.05:
            break
    assert loss.item() < 0.1
    assert (model(images).argmax(1) == labels).all()


@pytest.mark.parametrize("name", MODELS)
def test_weights_survive_saving_with_weights_only(name: str, tmp_path: Path) -> None:
    model, other = build(name).eval(), build(name).eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    images = images_for(model, 2)
    assert torch.equal(model(images), other(images))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("channels", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_an_image_too_small_is_refused_with_a_size_that_works(name: str, channels: int) -> None:
    sizes = range(SMALLEST.get(name, 4) - 3, 200)
    refused: list[int] = []
    for size in sizes:
        try:
            model = instantiate.build_object(
                composing.node(name), spec=spec_of(channels, size, 10), **SMALL.get(name, {})
            )
        except SettingError as error:
            refused.append(size)
            proposed = int(str(error).split("data.image_size=")[1].split()[0])
        else:
            model.eval()
            assert model(torch.randn(1, channels, size, size)).shape == (1, 10)
            break
    assert size == (proposed if refused else 1)


@pytest.mark.parametrize(
    ("name", "spec", "parameters"),
    [
        ("lenet5", (1, 28, 10), 61_706),  # LeNet-5 with a dense second convolution and 10 outputs
        ("mlp", (1, 28, 10), 784 * 128 + 128 + 128 * 10 + 10),
        ("convnet", (1, 28, 10), 34_826),  # lab C's summary
        ("cats_dogs_cnn", (3, 256, 2), None),
    ],
)
def test_parameters_are_those_of_the_lab(name: str, spec: tuple[int, int, int], parameters: int | None) -> None:
    model = build(name, *spec)
    if name == "cats_dogs_cnn":
        assert model.head.in_features == 512
    else:
        assert trainable_parameters(model) == parameters


@pytest.mark.parametrize(
    ("depth", "parameters"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)]
)
def test_resnets_are_as_large_as_the_paper_says(depth: int, parameters: int) -> None:
    """0.27, 0.46, 0.66, 0.85 and 1.7 million, table 6."""
    model = build("resnet", 3, 32, depth=depth)
    assert trainable_parameters(model) == parameters
    assert len([layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]) == depth


def test_a_resnet_halves_its_images_twice_and_passes_them_on_where_a_block_adds_nothing() -> None:
    model = build("resnet", 3, 32, depth=8).eval()
    features = model.stem(torch.rand(2, 3, 32, 32))
    assert [block(features).shape[1:] for block in model.blocks[:1]] == [(16, 32, 32)]
    assert model.blocks(features).shape == (2, 64, 8, 8)
    for block in model.blocks:
        nn.init.zeros_(block.layers[-1].weight)
    assert torch.equal(model.blocks(features)[:, :16], features[:, :, ::4, ::4])


def test_a_resnet_of_another_depth_is_refused() -> None:
    with pytest.raises(SettingError, match=r"model\.depth=18 is not 6 n \+ 2: use 14 or 20"):
        build("resnet", depth=18)


def test_mlp_shapes() -> None:
    assert trainable_parameters(build("mlp", depth=3, width=7)) == 784 * 7 + 7 + 2 * (7 * 7 + 7) + 7 * 10 + 10
    assert trainable_parameters(build("mlp", hidden=[5, 4])) == 784 * 5 + 5 + 5 * 4 + 4 + 4 * 10 + 10
    assert trainable_parameters(build("mlp", depth=0)) == 7850
    tanh_then_relu = build("mlp", depth=2, activation=["tanh", "relu"])
    assert [type(layer).__name__ for layer in tanh_then_relu.layers] == ["Linear", "Tanh", "Linear", "ReLU"]
    with pytest.raises(SettingError, match="has 1 activations for 2 hidden layers"):
        build("mlp", depth=2, activation=["tanh"])


def test_convnet_of_lab_a() -> None:
    assert build("convnet", kernel_size=5, dropout=0.0).features(torch.zeros(1, 1, 28, 28)).shape == (1, 64, 4, 4)


def test_cats_dogs_cnn_wants_a_kernel_for_each_block() -> None:
    with pytest.raises(SettingError, match=r"model\.channels has 6 entries and model\.kernel_sizes 1"):
        build("cats_dogs_cnn", kernel_sizes=[3])


@pytest.mark.parametrize(
    ("depth", "width", "millions"), [(40, 1, 0.6), (40, 2, 2.2), (16, 8, 11.0), (22, 8, 17.2), (28, 10, 36.5)]
)
def test_wide_resnets_are_as_large_as_the_paper_says(depth: int, width: int, millions: float) -> None:
    """Table 4."""
    with torch.device("meta"):
        model = build("wide_resnet", 3, 32, depth=depth, width=width)
    assert round(trainable_parameters(model) / 1e6, 1) == millions
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert len([layer for layer in convolutions if layer.kernel_size == (3, 3)]) == depth - 3  # without three shortcuts


@pytest.mark.parametrize(
    ("depth", "width", "heads", "parameters"), [(12, 768, 12, 86_567_656), (24, 1024, 16, 304_326_632)]
)
def test_vision_transformers_are_as_large_as_the_paper_says(
    depth: int, width: int, heads: int, parameters: int
) -> None:
    """86 and 307 million, table 1; ViT-Base and ViT-Large with patches of 16 pixels."""
    settings = {"patch_size": 16, "depth": depth, "width": width, "heads": heads, "pool": "token"}
    with torch.device("meta"):
        assert trainable_parameters(build("vit", 3, 224, 1000, **settings)) == parameters


@pytest.mark.parametrize("pool", ["token", "mean"])
def test_a_vision_transformer_knows_where_patches_are_by_its_positions_alone(pool: str) -> None:
    model = build("vit", 1, 8, pool=pool).eval()
    images = torch.rand(2, 1, 8, 8)
    moved = images.flip(-1).reshape(2, 1, 8, 2, 4).flip(-1).reshape(2, 1, 8, 8)  # the two halves change places
    assert not torch.allclose(model(images), model(moved), atol=1e-5)
    with torch.no_grad():
        model.positions.zero_()
    torch.testing.assert_close(model(images), model(moved))


@pytest.mark.parametrize(
    ("name", "size", "settings", "sentence"),
    [
        ("wide_resnet", 32, {"depth": 20}, "model.depth=20 is not 6 n + 4: use 16 or 22"),
        ("vit", 32, {"heads": 5}, "model.heads=5 must divide model.width=64: use a divisor of it"),
        (
            "vit",
            32,
            {"patch_size": 5},
            "images of 32 pixels cannot be cut into patches of 5: use"
            " model.patch_size=4 or 8, or data.image_size=30 or 35",
        ),
        (
            "vit",
            4,
            {"patch_size": 8},
            "images of 4 pixels cannot be cut into patches of 8: use model.patch_size=4, or data.image_size=8",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    name: str, size: int, settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingError) as refusal:
        build(name, 3, size, **settings)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    "model",
    [
        "lenet5",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("convnet", "deep_convnet", "alexnet", "airbench94")),
    ],
)
def test_every_architecture_trains_on_the_default(labbook: Command, model: str) -> None:
    settings = ["model.hidden=64"] if model == "alexnet" else []
    ended = labbook(f"model={model}", "epochs=1", "data.limit=200", "callbacks=none", "logger=none", *settings)
    assert ended.code == 0, ended.err
    assert "on Digits: 10 classes, 1 x 28 x 28 pixels" in ended.out

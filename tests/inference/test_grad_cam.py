"""Grad-CAM: the layer that is chosen, and what the heat maps show."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from labbook.cli.commands import predict
from labbook.errors import SettingError
from labbook.inference.grad_cam import CamLayer, find_layer, grad_cam
from labbook.inference.predict.request import name_pictures
from labbook.models.mlp import MLP
from labbook.models.vit import ViT
from labbook.training.classifier import Classifier
from tests.conftest import Command
from tests.data.samples import photograph
from tests.inference.networks import saved, untrained
from tests.models.conftest import spec_of


class Patches(Classifier):
    """Convolutions with positions, and a head that sees where each is."""

    def __init__(self, size: int = 12) -> None:
        super().__init__(spec_of(3, size))
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.grown = nn.AdaptiveAvgPool2d(size)  # the same positions again
        self.head = nn.Linear(4 * size**2, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.grown(self.body(images)).flatten(1))
        return logits


def test_it_is_gradient_times_activation() -> None:
    model, images, targets = Patches().eval(), torch.rand(3, 3, 12, 12), torch.tensor([1, 0, 7])
    layer = find_layer(model)
    assert layer == CamLayer("body", 6)
    activation = model.body(images).detach().requires_grad_()
    logits = model.head(model.grown(activation).flatten(1))
    gradient = torch.autograd.grad(logits[[0, 1, 2], targets].sum(), activation)[0]
    by_hand = (gradient.mean((2, 3), keepdim=True) * activation).sum(1, keepdim=True).relu().detach()
    large = nn.functional.interpolate(by_hand, (12, 12), mode="bilinear")[:, 0]
    found = grad_cam(model, layer, images, targets)
    torch.testing.assert_close(found, large)
    assert found.any()
    if importlib.util.find_spec("captum"):
        from captum.attr import LayerGradCam

        theirs = LayerGradCam(model, model.body).attribute(images, targets, relu_attributions=True)
        torch.testing.assert_close(by_hand, theirs.detach())


def test_it_is_high_where_the_patch_is_that_decides() -> None:
    model = Patches().eval()
    with torch.no_grad():
        model.body[0].weight.zero_()
        model.body[0].bias.zero_()
        model.body[0].weight[0, 0, 1, 1] = 1  # the first map is red
        model.head.weight.zero_()
        model.head.weight[3, :144] = 1  # which class 3 sums
    images = torch.zeros(1, 3, 12, 12)
    images[0, 0, 6:10, 2:6] = 1
    found = grad_cam(model, find_layer(model), images, torch.tensor([3]))[0]
    assert found[7:9, 3:5].min() == found.max() > 0
    assert found[:4].max() == found[:, 8:].max() == 0


@pytest.mark.parametrize(
    ("settings", "name", "side"),
    [
        (["model=lenet5"], "features", 5),
        pytest.param(["model=alexnet", "data.image_size=32"], "features.12", 3, marks=pytest.mark.slow),
        (["model=resnet18", "data.image_size=32"], "network.layer4", 4),
        pytest.param(["model=mobilenet_v3_small", "data.image_size=64"], "network.features", 4, marks=pytest.mark.slow),
        (["model=vit", "data.image_size=16", "model.width=16"], "norm", 4),
        (["model=vit", "data.image_size=16", "model.width=16", "model.pool=token"], "blocks.6.norm1", 4),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_last_layer_with_positions_and_a_gradient_is_chosen(settings: list[str], name: str, side: int) -> None:
    layer = find_layer(untrained("data=digits", *settings).model)
    assert (layer.name, layer.side) == (name, side)


def test_tokens_are_put_where_their_patches_are() -> None:
    model = ViT(spec_of(3, 16), patch_size=4, depth=1, width=8, heads=1, pool="token").eval()
    layer, images = find_layer(model, "patches"), torch.rand(1, 3, 16, 16)
    tokens = CamLayer("blocks", 4, prefix=1)
    maps = model.patches(images)
    assert tokens.as_maps(torch.cat([maps.new_zeros(1, 1, 8), maps.flatten(2).transpose(1, 2)], 1)).equal(maps)
    assert CamLayer("", 4, channels_last=True).as_maps(maps.permute(0, 2, 3, 1)).equal(layer.as_maps(maps))


def test_layers_without_positions_are_refused() -> None:
    with pytest.raises(SettingError, match="positions in the image, and MLP has none"):
        find_layer(MLP(spec_of(1, 8)))
    with pytest.raises(SettingError, match=r"^head is not a layer with positions; the last: body, body\.0, body\.1"):
        find_layer(Patches(), "head")


def test_pictures_have_the_names_of_the_images() -> None:
    found = name_pictures(["a/x.jpg", "b/X.png", "y.png", "3", "a/x.jpg"], Path("cam"))
    assert [path.name for path in found.values()] == ["x.png", "X_2.png", "y.png", "test_3.png"]


def test_predict_writes_a_picture_of_each_image(
    script: Callable[[ModuleType], Command], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run = saved(untrained("model=lenet5", "data=synthetic", "data.image_size=32"), tmp_path / "run")
    for name in ("a.png", "b.png"):
        photograph(tmp_path / "images" / name, size=(40, 30))
    (tmp_path / "images" / "aa.png").write_text("broken")
    ended = script(predict)(run, "images", "--cam")
    assert ended.code == 1, ended.err
    assert ended.out.endswith("heat maps: cam\n")
    assert sorted(path.name for path in Path("cam").iterdir()) == ["a.png", "b.png"]
    with Image.open("cam/a.png") as picture:
        assert min(picture.width / 2, picture.height) > 352
    again = script(predict)(run, "images/a.png", "--cam", "--cam-folder", "images")
    assert again.sentence == "--cam-folder images: a.png images/a.png is read by the command: use another file"
    assert script(predict)(run, "images/a.png", "--cam-layer", "pool1").sentence.endswith("add --cam")

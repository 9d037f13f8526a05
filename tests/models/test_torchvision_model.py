"""Torchvision's networks keep our contract: any channels, sizes and classes, published weights as plain data."""

import hashlib
import itertools
from collections.abc import Collection, Iterable
from http.client import IncompleteRead
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from _pytest.mark.structures import ParameterSet
from pytorch_lightning import Trainer
from torch import nn
from torchvision import models
from torchvision.models.densenet import DenseNet

from labbook import building, training
from labbook.data.spec import ImageSpec
from labbook.data.synthetic import Synthetic
from labbook.errors import SettingError
from labbook.models import pretrained
from labbook.models.classifier import Task
from labbook.models.torchvision_model import TorchvisionModel, names
from tests import composing
from tests.composing import OF_TORCHVISION, composed
from tests.conftest import Command
from tests.models.test_architectures import spec_of

QUICK = "mobilenet_v3_small"

# Channels, pixels and classes: for each network one of them at once, and all where time does not matter.
KINDS = list(itertools.product((1, 3), (28, 32, 64), (2, 10, 100)))
ONE_EACH = dict(
    zip(OF_TORCHVISION, [(1, 28, 10), (3, 32, 2), (3, 28, 100), (1, 32, 10)] * len(OF_TORCHVISION), strict=False)
)
STEMS = ("resnet18", "vgg16_bn", "convnext_tiny")
LARGE = ("vgg16_bn", "vit_b_16")  # 34 and 85 million parameters
PAIRS = [
    pytest.param(name, *kind, marks=[] if ONE_EACH[name] == kind and name not in LARGE else [pytest.mark.slow])
    for name in OF_TORCHVISION
    for kind in KINDS
]


def slow_but(quick: Collection[str], every: Iterable[str]) -> list[ParameterSet]:
    return [pytest.param(name, marks=[] if name in quick else [pytest.mark.slow]) for name in every]


def made(name: str, channels: int = 3, size: int = 32, classes: int = 10, **settings: Any) -> TorchvisionModel:
    torch.manual_seed(0)
    model = building.build(composing.node(name), spec=spec_of(channels, size, classes), **settings)
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
    labels = torch.arange(2) % classes
    outputs = model.outputs(torch.randn(2, channels, size, size))
    assert all(logits.shape == (2, classes) for logits, _ in outputs)
    sum(weight * F.cross_entropy(logits, labels) for logits, weight in outputs).backward()  # type: ignore[union-attr]
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", slow_but((QUICK, "googlenet"), OF_TORCHVISION))
def test_weights_survive_saving_with_weights_only(name: str, tmp_path: Path) -> None:
    model = made(name).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other = on_meta(name, model.spec)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True), assign=True)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(images), other.eval()(images))


@pytest.mark.parametrize("name", slow_but(OF_TORCHVISION, names()))
def test_for_published_sizes_each_is_the_network_that_was_published(name: str) -> None:
    """As many parameters as torchvision documents, which does not count GoogLeNet's auxiliary classifiers."""
    model = on_meta(name, spec_of(3, pretrained.image_settings(name)["image_size"], 1000))
    auxiliary = sum(item.numel() for path, item in model.named_parameters() if ".aux" in path)
    documented = pretrained.published(name).meta["num_params"]
    assert model.num_parameters - auxiliary == documented
    assert model.title == name


@pytest.mark.parametrize("name", slow_but(STEMS, [*OF_TORCHVISION, "resnext50_32x4d"]))
def test_the_stem_for_small_images_keeps_more_of_them(name: str) -> None:
    """At least half as many pixels more, over all convolutions; VGG has no stem, and takes smaller images instead."""
    seen: dict[bool, int] = {}
    for small in (False, True):
        model = on_meta(name, spec_of(3, 64, 10), small_stem=small).eval()
        seen[small] = 0

        def look(_layer: nn.Module, _given: Any, made: torch.Tensor, small: bool = small) -> None:
            seen[small] += made.shape[-1]

        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(look)
        assert model(torch.empty(1, 3, 64, 64, device="meta")).shape == (1, 10)
    if name.startswith("vgg"):
        assert seen[True] == seen[False]
        assert on_meta(name, spec_of(3, 28, 10)).num_parameters < on_meta(name, spec_of(3, 65, 10)).num_parameters / 3
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


def test_auxiliary_classifiers_count_in_training_alone() -> None:
    model = made("googlenet")
    images, labels = torch.randn(4, 3, 32, 32), torch.arange(4)
    assert [weight for _, weight in model.outputs(images)] == [1.0, 0.3, 0.3]
    assert model(images).shape == (4, 10)
    assert [weight for _, weight in model.eval().outputs(images)] == [1.0]
    model.train()
    before = model.network.aux1.fc2.weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    batch: Any = SimpleNamespace(images=images, labels=labels, weight=1.0)
    model._trainer = SimpleNamespace(global_step=0, accumulate_grad_batches=1)  # type: ignore[assignment]
    model.training_step(batch, 0).backward()
    optimizer.step()
    assert not torch.equal(model.network.aux1.fc2.weight, before)


# Settings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [("mobilenet_v2", {"width_mult": 0.35}), (QUICK, {"width_mult": 0.5}), ("densenet121", {"bn_size": 1})],
)
def test_options_reach_torchvision(name: str, options: dict[str, Any]) -> None:
    spec = spec_of(3, 32, 10)
    assert on_meta(name, spec, options=options).num_parameters < on_meta(name, spec).num_parameters / 1.5


def test_an_option_that_torchvision_names_nowhere_but_takes_is_taken() -> None:
    model = on_meta("efficientnet_b0", spec_of(3, 32, 10), options={"dropout": 0.5})
    assert model.network.classifier[0].p == 0.5


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "resnet19"}, "model.name=resnet19 is unknown; did you mean resnet18? choices: convnext_base, "),
        ({"freeze": "backbone"}, "model.freeze=backbone would keep random weights: add model.pretrained=true"),
        ({"small_stem": True, "pretrained": True}, "model.small_stem=true has no published weights: leave it out, or"),
        ({"options": {"width": 1}}, "model.options={'width': 1}: "),
        ({"options": {"width_per_group": -5}}, "model.options={'width_per_group': -5}: "),
        ({"name": "densenet121", "options": {"drop_rate": 5}}, "model.options={'drop_rate': 5}: "),
        ({"name": QUICK, "options": {"width": 1}}, "model.options.width is none of mobilenet_v3_small; did you mean"
         " width_mult? choices: block, dilated, dropout, norm_layer, reduced_tail, width_mult"),
        ({"name": "convnext_tiny", "options": {"dropout": 1}}, "model.options.dropout is none of convnext_tiny; ch"),
        ({"options": {"weights": "DEFAULT"}}, "model.options.weights is set by the program: model.pretrained"),
        ({"name": "vit_b_16", "small_stem": False}, "images of 36 pixels cannot be cut into patches of 16: use"
         " data.image_size=32 or 48"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError) as refusal:
        TorchvisionModel(spec_of(3, 36, 10), **({"name": "resnet18"} | settings))
    assert str(refusal.value).startswith(sentence)


# Published weights ---------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of `QUICK` where torch would keep them, named by their sha256; nothing can be downloaded."""
    return published(tmp_path, monkeypatch, QUICK, models.get_model(QUICK).state_dict())  # type: ignore[attr-defined]


def published(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: dict[str, Any]) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    written = folder / "written.pth"
    torch.save(content, written)
    digest = hashlib.sha256(written.read_bytes()).hexdigest()[:8]
    file = folder / "checkpoints" / f"{name}-{digest}.pth"
    file.parent.mkdir(exist_ok=True)
    written.rename(file)
    own = pretrained.published(name)
    made_up = SimpleNamespace(url=f"http://127.0.0.1:9/models/{file.name}", transforms=own.transforms)
    monkeypatch.setattr(pretrained, "published", lambda _: made_up)
    return file


def test_published_weights_are_all_but_the_last_layer(weights: Path) -> None:
    model = made(QUICK, 3, 224, 5, pretrained=True)
    model.load()
    there = torch.load(weights, weights_only=True)
    own = model.network.state_dict()
    differing = {
        key for key, value in there.items() if value.shape != own[key].shape or not torch.equal(value, own[key])
    }
    assert differing == {f"{model.head}.weight", f"{model.head}.bias"}
    assert model.title == f"{QUICK} (published weights)"


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")  # Lightning's remark, which here is as it should be
@pytest.mark.parametrize("freeze", ["none", "backbone"])
def test_a_training_begins_with_them_and_a_frozen_backbone_stays_to_the_bit(weights: Path, freeze: str) -> None:
    data = Synthetic(images=16, classes=5, image_size=32, batch_size=8, val_fraction=0.5)
    model = made(QUICK, 3, 32, 5, pretrained=True, freeze=freeze)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    Trainer(max_epochs=2, accelerator="cpu", **quiet).fit(model, datamodule=data)  # type: ignore[arg-type]
    there, own = torch.load(weights, weights_only=True), model.network.state_dict()
    changed = {key for key in own if key not in there or not torch.equal(there[key], own[key])}
    head = {f"{model.head}.weight", f"{model.head}.bias"}
    if freeze == "backbone":
        assert changed == head
        assert model.num_parameters == sum(own[key].numel() for key in head)
        assert model.title == f"{QUICK} (published weights, only its last layer trained)"
    else:
        assert len(changed) > 100
        features = "features.0.0.weight"
        assert (own[features] - there[features]).abs().max() < 0.05  # two steps of Adam from where it began


def test_what_a_checkpoint_brings_is_not_loaded_before(weights: Path, tmp_path: Path) -> None:
    data = Synthetic(images=16, classes=5, image_size=32, batch_size=8, val_fraction=0.5)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, enable_checkpointing=False, **quiet)  # type: ignore[arg-type]
    model = made(QUICK, 3, 32, 5, pretrained=True)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "last.ckpt", weights_only=False)
    weights.unlink()
    going_on = made(QUICK, 3, 32, 5, pretrained=True)  # not needed any more, and not missed
    Trainer(max_epochs=2, enable_checkpointing=False, **quiet).fit(  # type: ignore[arg-type]
        going_on, datamodule=data, ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert going_on.trainer.global_step == 2


def test_published_weights_are_not_drawn_anew() -> None:
    config = composed("model=resnet18", "data=synthetic", "model.pretrained=true", "task.init=he", "data.image_size=32")
    with pytest.raises(SettingError, match=r"task\.init=he would draw published weights anew: use task.init=torch"):
        training.build_model(config, training.build_data(config).spec)


def test_auxiliary_classifiers_are_of_the_last_layer() -> None:
    layers = on_meta("googlenet", spec_of(3, 224, 10)).ordered_layers()
    heads = {layer.out_features for layer in layers[-1] for layer in layer.modules() if isinstance(layer, nn.Linear)}
    assert heads == {10, 1024}
    assert not any(
        isinstance(layer, nn.Linear) for layers in layers[:-1] for each in layers for layer in each.modules()
    )


@pytest.mark.parametrize("pretrained", [True, False])
def test_googlenet_sees_its_images_alike_in_training_and_wherever_it_is_made_again(pretrained: bool) -> None:
    """Weights are loaded only when a training begins, and not for resuming or testing."""
    assert on_meta("googlenet", spec_of(3, 224, 10), pretrained=pretrained).network.transform_input == pretrained


def test_what_is_compiled_is_what_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("googlenet")
    compiled: list[Any] = []
    monkeypatch.setattr(model.network, "compile", lambda **options: compiled.append(options))
    model.compile(mode="default")
    assert compiled == [{"mode": "default"}]


@pytest.mark.slow
def test_position_embeddings_are_stretched_to_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        shapes = models.get_model("vit_b_16").state_dict()  # type: ignore[attr-defined]
    content = {key: torch.zeros(1).expand(value.shape) for key, value in shapes.items()}  # one number each in the file
    content["encoder.pos_embedding"] = torch.arange(197.0).view(1, -1, 1).repeat(1, 1, 768)
    published(tmp_path, monkeypatch, "vit_b_16", content)
    model = made("vit_b_16", 3, 112, 5, pretrained=True)
    model.load()
    positions = model.network.encoder.pos_embedding[0, :, 0]
    assert positions.shape == (1 + 7 * 7,)
    assert positions[0] == 0
    assert (positions[1:].diff() > 0).all()  # from the first row to the last, as before


def test_old_names_of_dense_layers_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = DenseNet(num_init_features=8, growth_rate=4, block_config=(2, 2), num_classes=3)
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value
        for key, value in network.state_dict().items()
    }
    assert any("denselayer1.norm.1." in key for key in old)
    published(tmp_path, monkeypatch, "densenet121", old)
    found = pretrained.state_dict("densenet121")
    assert found.keys() == network.state_dict().keys()


def test_without_weights_and_network_a_sentence_says_where_to_put_the_file(weights: Path) -> None:
    weights.unlink()
    with pytest.raises(SettingError, match=r"the weights of mobilenet_v3_small are not there and cannot be down") as no:
        made(QUICK, pretrained=True).load()
    assert str(no.value).endswith(f": put http://127.0.0.1:9/models/{weights.name} at {weights}")


def test_a_server_that_breaks_off_is_a_reason_like_others(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **_options: object) -> None:
        raise IncompleteRead(b"")

    weights.unlink()
    monkeypatch.setattr(torch.hub, "download_url_to_file", broken)
    with pytest.raises(SettingError, match=r"cannot be downloaded \(IncompleteRead\(0 bytes read\)\): put http"):
        made(QUICK, pretrained=True).load()


def test_a_damaged_file_is_not_believed(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(
        SettingError, match=r"is not what torchvision published \(its sha256 is another one\): delete it"
    ):
        made(QUICK, pretrained=True).load()


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path, monkeypatch, QUICK, {"first.weight": torch.zeros(1)})
    with pytest.raises(
        SettingError, match=r"the published weights have no features\.0\.0\.weight of shape \(16, 3, 3, 3\)"
    ):
        made(QUICK, pretrained=True).load()


def test_open_settings_of_the_data_follow_published_weights() -> None:
    config = composed("model=resnet18", "data=mnist", "model.pretrained=true")
    data = training.build_data(config)
    assert (config.data.image_size, config.data.channels, config.data.normalize) == (224, 3, "imagenet")
    assert (data.spec.size, data.spec.mean) == (224, (0.485, 0.456, 0.406))


def test_settings_that_are_given_stay() -> None:
    given = ("data.image_size=48", "data.normalize=half")
    config = composed("model=resnet18", "data=mnist", "model.pretrained=true", *given)
    data = training.build_data(config)
    assert (data.spec.size, data.spec.mean) == (48, (0.5,) * 3)  # in colour, as the weights see it
    config = composed("model=resnet18", "data=mnist")
    training.build_data(config)
    assert (config.data.image_size, config.data.normalize) == (None, None)


def test_grey_images_are_refused_where_they_were_asked_for() -> None:
    with pytest.raises(SettingError, match=r"published weights see three channels: use data\.channels=3 \(null\)"):
        made(QUICK, 1, pretrained=True)


def test_a_batch_of_one_image_is_explained(labbook: Command) -> None:
    settings = f"model={QUICK} model.small_stem=false data.limit=9 data.batch_size=8 data.val_fraction=0 logger=none"
    ended = labbook(*settings.split(), "callbacks=none", "epochs=1", "trainer.precision=32")
    assert ended.code == 2
    assert ended.sentence.startswith("data.batch_size=8 leaves a batch of one image, in which batch normalisation has")


def test_the_task_reaches_the_network() -> None:
    task = Task(label_smoothing=0.25)
    assert TorchvisionModel(spec_of(1, 28, 2), task, name=QUICK).task is task

"""Torchvision's networks begin with published weights as plain data, and with their images."""

import hashlib
from dataclasses import replace
from http.client import IncompleteRead
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn
from torchvision import models
from torchvision.models.densenet import DenseNet
from torchvision.models.vision_transformer import VisionTransformer

from labbook import experiment as training
from labbook.data.image_spec import IMAGENET_MEAN, IMAGENET_STD
from labbook.data.synthetic import Synthetic
from labbook.errors import SettingError
from labbook.models import pretrained as pretrained_weights
from labbook.models.torchvision_model import TorchvisionModel
from labbook.training.capabilities import trainable_parameters
from labbook.training.classifier import Task
from tests.composing import OF_TORCHVISION, composed
from tests.conftest import Command
from tests.models.test_architectures import spec_of
from tests.models.test_torchvision_model import LIGHT, QUICK, made, on_meta, slow_but


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    """Weights of `QUICK`."""
    found: dict[str, Any] = models.get_model(QUICK).state_dict()  # type: ignore[attr-defined]
    return found


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]) -> Path:
    """Weights of `QUICK` where torch would keep them, named by their sha256; nothing can be downloaded."""
    return published(tmp_path, monkeypatch, QUICK, content)


def refused_weights() -> None:
    """Ask for pretrained weights that cannot be loaded."""
    on_meta(QUICK, spec_of(3, 32, 10), pretrained=True).load_pretrained()


def published(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: dict[str, Any]) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    written = folder / "written.pth"
    torch.save(content, written)
    digest = hashlib.sha256(written.read_bytes()).hexdigest()[:8]
    file = folder / "checkpoints" / f"{name}-{digest}.pth"
    file.parent.mkdir(exist_ok=True)
    written.rename(file)
    own = pretrained_weights.recommended_weights(name)
    made_up = SimpleNamespace(url=f"http://127.0.0.1:9/models/{file.name}", transforms=own.transforms)
    monkeypatch.setattr(pretrained_weights, "recommended_weights", lambda _: made_up)
    return file


def test_published_weights_are_all_but_the_last_layer(weights: Path) -> None:
    model = made(QUICK, 3, 32, 5, pretrained=True)
    model.load_pretrained()
    there = torch.load(weights, weights_only=True)
    own = model.network.state_dict()
    differing = {
        key for key, value in there.items() if value.shape != own[key].shape or not torch.equal(value, own[key])
    }
    assert differing == {f"{model.head}.weight", f"{model.head}.bias"}
    assert model.title == f"{QUICK} (pretrained weights)"


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")  # Lightning's remark, which here is as it should be
@pytest.mark.parametrize("freeze", [pytest.param("none", marks=pytest.mark.slow), "backbone"])
def test_a_training_begins_with_them_and_a_frozen_backbone_stays_to_the_bit(weights: Path, freeze: str) -> None:
    data = Synthetic(images=16, classes=5, image_size=32, batch_size=8, val_fraction=0.5)
    model = made(QUICK, 3, 32, 5, pretrained=True)
    model.freeze_layers(freeze)
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
        assert trainable_parameters(model) == sum(own[key].numel() for key in head)
    else:
        assert len(changed) > 100
        features = "features.0.0.weight"
        assert (own[features] - there[features]).abs().max() < 0.05  # two steps of Adam from where it began


@pytest.mark.parametrize("name", slow_but((*LIGHT, "vgg16_bn"), OF_TORCHVISION))
def test_of_a_frozen_network_only_the_last_layer_and_the_dropout_before_it_are_in_training(name: str) -> None:
    model = on_meta(name, spec_of(3, 224, 10), pretrained=True)
    model.freeze_layers("backbone")
    layers = [layer for layer in model.network.modules() if next(layer.children(), None) is None]
    training = [layer for layer in layers if layer.training]
    with_weights = [layer for layer in training if next(layer.parameters(), None) is not None]
    assert with_weights == [model.network.get_submodule(model.head)]
    with_dropout = (
        "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small",
        "squeezenet1_1", "vgg16_bn",
    )  # fmt: skip
    assert any(isinstance(layer, nn.Dropout) for layer in training) == (name in with_dropout)
    assert not any(layer.training for layer in model.eval().modules())


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


def test_pretrained_weights_are_not_initialized_again() -> None:
    config = composed(f"model={QUICK}", "data=synthetic", "model.pretrained=true", "task.init=he", "data.image_size=32")
    with pytest.raises(SettingError, match=r"task\.init=he would replace the pretrained weights: use task.init=torch"):
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
    spec = replace(spec_of(3, 224, 10), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    assert on_meta("googlenet", spec, pretrained=pretrained).network.transform_input == pretrained


def test_googlenet_changes_no_images_that_are_as_its_weights_saw_them() -> None:
    assert not on_meta("googlenet", spec_of(3, 224, 10), pretrained=True).network.transform_input


def test_what_is_compiled_is_what_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    model = on_meta(QUICK, spec_of(3, 32, 10))
    compiled: list[Any] = []
    monkeypatch.setattr(model.network, "compile", lambda **options: compiled.append(options))
    model.compile(mode="default")
    assert compiled == [{"mode": "default"}]


@pytest.mark.slow
def test_position_embeddings_are_stretched_to_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        shapes = models.get_model("vit_b_16").state_dict()  # type: ignore[attr-defined]
    content = {  # one number each in the file, by the names that the published one has
        key.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): torch.ones(1).expand(value.shape)
        for key, value in shapes.items()
    }
    content["encoder.pos_embedding"] = torch.arange(197.0).view(1, -1, 1).repeat(1, 1, 768)
    published(tmp_path, monkeypatch, "vit_b_16", content)
    model = made("vit_b_16", 3, 112, 5, pretrained=True)
    model.load_pretrained()
    assert all(bool((item == 1).all()) for name, item in model.network.named_parameters() if ".mlp." in name)
    positions = model.network.encoder.pos_embedding[0, :, 0]
    assert positions.shape == (1 + 7 * 7,)
    assert positions[0] == 0
    assert (positions[1:].diff() > 0).all()  # from the first row to the last, as before


def test_old_names_of_layers_of_vision_transformers_are_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = VisionTransformer(8, 4, num_layers=2, num_heads=1, hidden_dim=4, mlp_dim=8)
    old = {
        key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): value
        for key, value in network.state_dict().items()
    }
    assert old.keys() != network.state_dict().keys()
    published(tmp_path, monkeypatch, "vit_b_16", old)
    assert pretrained_weights.pretrained_state_dict("vit_b_16").keys() == network.state_dict().keys()


def test_old_names_of_dense_layers_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = DenseNet(num_init_features=8, growth_rate=4, block_config=(2, 2), num_classes=3)
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value
        for key, value in network.state_dict().items()
    }
    assert any("denselayer1.norm.1." in key for key in old)
    published(tmp_path, monkeypatch, "densenet121", old)
    found = pretrained_weights.pretrained_state_dict("densenet121")
    assert found.keys() == network.state_dict().keys()


def test_without_weights_and_network_a_sentence_says_where_to_put_the_file(weights: Path) -> None:
    weights.unlink()
    with pytest.raises(SettingError, match=r"the weights of mobilenet_v3_small are missing and cannot be down") as no:
        refused_weights()
    assert str(no.value).endswith(f": put http://127.0.0.1:9/models/{weights.name} at {weights}")


def test_weights_that_are_there_need_no_right_to_write(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pretrained_weights, "blocking_lock", forbidden)
    made(QUICK, pretrained=True).load_pretrained()


def test_weights_that_cannot_be_read_are_not_called_missing(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights.unlink()
    weights.mkdir()
    with pytest.raises(SettingError, match=r"^model\.pretrained=true: .*\.pth cannot be read \(.*Is a directory"):
        refused_weights()


def test_a_server_that_breaks_off_is_a_reason_like_others(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **_options: object) -> None:
        raise IncompleteRead(b"")

    weights.unlink()
    monkeypatch.setattr(torch.hub, "download_url_to_file", broken)
    with pytest.raises(SettingError, match=r"cannot be downloaded \(IncompleteRead\(0 bytes read\)\): put http"):
        refused_weights()


def test_a_damaged_file_is_not_believed(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(SettingError, match=r"is not torchvision's file \(its sha256 differs\): delete it"):
        refused_weights()


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path, monkeypatch, QUICK, {"first.weight": torch.zeros(1)})
    with pytest.raises(
        SettingError, match=r"the pretrained weights have no features\.0\.0\.weight of shape \(16, 3, 3, 3\)"
    ):
        refused_weights()


def test_open_settings_of_the_data_follow_published_weights() -> None:
    config = composed("model=resnet18", "data=mnist", "model.pretrained=true")
    data = training.build_new_data(config)
    assert (config.data.image_size, config.data.channels, config.data.normalize) == (224, 3, "imagenet")
    assert (data.spec.size, data.spec.mean) == (224, (0.485, 0.456, 0.406))


def test_settings_that_are_given_stay() -> None:
    given = ("data.image_size=48", "data.normalize=half")
    config = composed("model=resnet18", "data=mnist", "model.pretrained=true", *given)
    data = training.build_new_data(config)
    assert (data.spec.size, data.spec.mean) == (48, (0.5,) * 3)  # in colour, as the weights see it
    config = composed("model=resnet18", "data=mnist")
    training.build_new_data(config)
    assert (config.data.image_size, config.data.normalize) == (None, None)


def test_interpolations_of_the_model_can_name_settings_of_other_groups() -> None:
    config = composed("model=mlp", "data=digits", "model.width=${data.batch_size}")
    assert training.model_settings(config)[0].width == config.data.batch_size


def test_grey_images_are_refused_where_they_were_asked_for() -> None:
    with pytest.raises(SettingError, match=r"pretrained weights need three channels: leave out data\.channels, or"):
        made(QUICK, 1, pretrained=True)


def test_a_batch_of_one_image_is_explained(labbook: Command) -> None:
    settings = f"model={QUICK} model.small_stem=false data.limit=9 data.batch_size=8 data.val_fraction=0 logger=none"
    ended = labbook(*settings.split(), "callbacks=none", "epochs=1", "trainer.precision=32")
    assert ended.code == 2
    assert ended.sentence.startswith("data.batch_size=8 leaves a batch of one image, which batch normalisation")


def test_the_task_reaches_the_network() -> None:
    task = Task(label_smoothing=0.25)
    assert TorchvisionModel(spec_of(1, 28, 2), task, name=QUICK).task is task

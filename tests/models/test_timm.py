"""Timm's networks, by name."""

import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("timm", reason="needs the extra: make setup EXTRAS=timm")

import timm.scheduler
import torch
import torch.nn.functional as F
from huggingface_hub import constants
from omegaconf import OmegaConf
from torch import Tensor

from labbook import experiment
from labbook.config import instantiate
from labbook.errors import SettingError
from labbook.models.smallest_images import check_image_size
from labbook.models.timm_model import TimmModel
from labbook.training import optimizers
from tests.composing import composed
from tests.conftest import Command
from tests.models.test_architectures import spec_of

pytestmark = pytest.mark.extra

SLOW = {  # of other families, with the sizes of images
    "ghostnet_050": 32,
    "hgnetv2_b0": 64,
    "mixer_s32_224": 64,
    "mobilenetv3_small_050": 28,
    "mobilevit_xxs": 64,
    "pit_ti_224": 64,
    "regnetx_002": 32,
    "repvit_m0_9": 64,
    "starnet_s050": 28,
    "levit_conv_128s": 224,
    "xcit_nano_12_p8_224": 32,
}
QUICK = {
    "test_byobnet": 28,
    "test_convnext": 32,
    "test_efficientnet": 28,
    "test_mambaout": 32,
    "test_maxvit": 64,
    "test_nfnet": 32,
    "test_resnet": 28,
    "test_vit": 32,
    "test_vit_relpos": 32,
}
ALL = [("test_vit", QUICK.pop("test_vit")), *QUICK.items(), *SLOW.items()]
FAMILIES = [
    ALL[0],
    *QUICK.items(),
    *(pytest.param(name, size, marks=pytest.mark.slow) for name, size in SLOW.items()),
]


def made(name: str, channels: int = 3, size: int = 32, classes: int = 10, **settings: Any) -> TimmModel:
    torch.manual_seed(0)
    return TimmModel(spec_of(channels, size, classes), name=name, **settings)


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_a_gradient_reaches_every_parameter(name: str, size: int) -> None:
    model = made(name, 1, size, 7)
    check_image_size(lambda spec: TimmModel(spec, name=name), model.spec)
    logits = model(torch.randn(4, 1, size, size))
    assert logits.shape == (4, 7)
    F.cross_entropy(logits, torch.arange(4)).backward()
    assert all(item.grad is not None and item.grad.isfinite().all() for item in model.parameters())


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_the_last_of_the_layers_is_the_classifier(name: str, size: int) -> None:
    with torch.device("meta"):
        model = made(name, 3, size, 7)
    layers = model.ordered_layers()
    found = [id(item) for layer in layers for module in layer for item in module.parameters()]
    assert len(found) == len(set(found))
    rest = {name for name, item in model.network.named_parameters() if id(item) not in found}
    assert not [name for name in rest if "." in name]  # tokens and positions
    assert len(layers) > 4
    head = {id(item) for module in layers[-1] for item in module.parameters()}
    assert all(id(item) in head for module in model.head_modules() for item in module.parameters())
    model.freeze_layers("backbone")
    assert {id(item) for item in model.parameters() if item.requires_grad} == head


@pytest.mark.parametrize("name", ["deit_tiny_distilled_patch16_224", "pit_ti_distilled_224"])
def test_two_classifiers_are_one_layer(name: str) -> None:
    with torch.device("meta"):
        model = made(name, size=64)
    assert model.ordered_layers()[-1] == [model.network.head, model.network.head_dist]


# Weights ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """The pretrained weights of test_vit, as if they were in the cache of the hub."""
    torch.manual_seed(1)
    found: dict[str, Tensor] = timm.create_model("test_vit").state_dict()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_hf", lambda *_, **__: dict(found))
    return found


def test_pretrained_weights_are_all_but_the_last_layer(weights: dict[str, Tensor]) -> None:
    model = made("test_vit", size=160, pretrained=True)
    before, state = dict(model.network.state_dict()), torch.get_rng_state()
    head = before["head.weight"].clone()
    model._trainer = SimpleNamespace(ckpt_path="last.ckpt")  # type: ignore[assignment]
    model.on_fit_start()
    assert not torch.equal(before["cls_token"], weights["cls_token"])
    model._trainer = SimpleNamespace(ckpt_path=None)  # type: ignore[assignment]
    model.on_fit_start()
    own = model.network.state_dict()
    assert {name for name in own if not torch.equal(own[name], weights[name])} == {"head.weight", "head.bias"}
    assert torch.equal(own["head.weight"], head)
    assert torch.equal(state, torch.get_rng_state())
    assert model.title == "test_vit (pretrained weights)"


def test_pretrained_weights_are_adapted_to_grey_images_of_another_size(weights: dict[str, Tensor]) -> None:
    model = made("test_vit", 1, 32, pretrained=True)
    model.load_pretrained()
    own = model.network.state_dict()
    torch.testing.assert_close(own["patch_embed.proj.weight"], weights["patch_embed.proj.weight"].sum(1, keepdim=True))
    assert own["pos_embed"].shape[1] == 2**2 + 1


def test_weights_that_cannot_be_loaded_are_refused_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", pytest.fail)  # as between two tries of the library
    with pytest.raises(SettingError) as refused:
        made("test_vit", pretrained=True).load_pretrained()
    assert str(refused.value).startswith(
        "model.pretrained=true: the weights of test_vit cannot be loaded (http://127.0.0.1:9: "
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("test_vit", {"image_size": 160, "normalize": "half", "resize": "crop", "decode_size": 168}),
        ("resnet18.a1_in1k", {"image_size": 224, "normalize": "imagenet", "resize": "crop", "decode_size": 235}),
        ("vit_base_patch16_clip_224.openai", {"image_size": 224, "resize": "crop", "decode_size": 248, "normalize": {
            "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}}),
        ("efficientnet_b5", {"image_size": 448, "normalize": "imagenet", "resize": "squash", "decode_size": 448}),
    ],
)  # fmt: skip
def test_the_data_follow_the_pretrained_weights(name: str, settings: dict[str, Any]) -> None:
    overrides = ["model=timm", f"model.name={name}", "data=image_folder"]
    assert experiment.pretrained_settings(composed(*overrides, "model.pretrained=true")) == settings
    assert experiment.pretrained_settings(composed(*overrides)) == {}
    smaller = experiment.pretrained_settings(composed(*overrides, "model.pretrained=true", "data.image_size=112"))
    assert smaller["decode_size"] == settings["decode_size"] * 112 // settings["image_size"]


def test_a_run_from_before_the_crop_keeps_whole_images(tmp_path: Path) -> None:
    for name in ("train/cats", "train/dogs", "test/cats", "test/dogs"):
        (tmp_path / name).mkdir(parents=True)
    data = ("data=image_folder", f"data.root={tmp_path}")
    words = ("model=timm", "model.name=test_vit", "model.pretrained=true", *data)
    new = composed(*words)
    made: Any = experiment.build_new_data(new)
    assert (new.data.decode_size, made.stored_size) == (168, 168)
    old = composed(*words, "data.image_size=160", "data.normalize=half", "data.resize=crop")
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml({name: old[name] for name in ("model", "data")}))
    tested: Any = experiment.build_data(old)
    resumed = composed(*words)
    sweep: Any = experiment.build_new_data(resumed, tmp_path)
    assert tested.stored_size == sweep.stored_size == 160
    assert (resumed.data.decode_size, resumed.data.resize) == (None, "crop")


# Settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": None}, "model.name is missing: use a name of timm, such as model.name=resnet18"),
        ({"name": "resnet19"}, "model.name=resnet19 is no network of timm; did you mean resnet"),
        ({"name": "RESNET18"}, "model.name=RESNET18 is no network of timm; did you mean resnet18, "),
        ({"name": "hf-hub:me/evil"}, "model.name=hf-hub:me/evil is no network of timm; "),
        ({"name": "resnet18.best"}, "model.name=resnet18.best: timm has no such weights of resnet18; did you mean res"),
        ({"pretrained": "a.pth"}, "model.pretrained=a.pth must be true or false: use model.weights for a file"),
        ({"name": "coatnet_0_224", "pretrained": True}, "model.pretrained=true: timm has no weights of coatnet_0"),
        ({"options": {"patch": 4}}, "model.options.patch is not an option of test_vit"),
        ({"options": {"depth": "x"}}, "model.options={'depth': 'x'}: "),
        ({"options": {"img_size": 4}}, "model.options.img_size is set by the program: use data.image_size"),
        ({"options": {"checkpoint_path": "evil.pth"}}, "model.options.checkpoint_path is set by the program: use mode"),
        ({"options": {"pretrained_cfg": {"file": "evil.pth"}}}, "model.options.pretrained_cfg is set by the program: "),
        ({"name": "mobilenetv5_300m_enc"}, "model.name=mobilenetv5_300m_enc has no classification layer: use another "),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with torch.device("meta"), pytest.raises(SettingError) as refused:
        made(**({"name": "test_vit"} | settings))
    assert str(refused.value).startswith(sentence)
    assert str(refused.value).count(", ") <= 5


@pytest.mark.parametrize(
    ("name", "size", "end"),
    [("test_vit", 36, "use data.image_size=48"), ("test_vit", 8, "use data.image_size=16"),
     ("vit_tiny_patch16_224", 28, "use data.image_size=32"),  # timm would leave out the last 12 pixels
     pytest.param("inception_v3", 32, "use data.image_size=75 or more", marks=pytest.mark.slow)],
)  # fmt: skip
def test_images_of_a_wrong_size_are_refused_with_one_that_works(name: str, size: int, end: str) -> None:
    with pytest.raises(SettingError) as refused:
        check_image_size(lambda spec: TimmModel(spec, name=name), spec_of(3, size, 10))
    assert str(refused.value).startswith(f"the network does not take images of {size} pixels (")
    assert str(refused.value).endswith(end)


def test_options_make_small_patches() -> None:
    assert made("test_vit", options={"patch_size": 4}).network.pos_embed.shape[1] == 8**2 + 1


def node(target: str, **settings: Any) -> dict[str, Any]:
    return {"_target_": target, "_partial_": True, **settings}


def test_optimizers_and_schedulers_of_timm_are_taken() -> None:
    for optimizer in ("AdamP", "Adan", "Lamb", "Lion", "Muon", "NAdamW", "RMSpropTF"):
        of_timm = node(f"timm.optim.{optimizer}", lr=1e-3)
        instantiate.check_node_tree(of_timm, "optimizer", experiment.SUPPLIED["optimizer"])
    for name, settings in (("Cosine", {"t_initial": 3}), ("Step", {"decay_t": 1}), ("MultiStep", {"decay_t": [1]})):
        scheduler = node(f"timm.scheduler.{name}LRScheduler", **settings)
        instantiate.check_node_tree(scheduler, "scheduler", experiment.SUPPLIED["scheduler"])
    for group, target, end in [
        ("scheduler", "timm.scheduler.CosineLRScheduler", "scheduler.t_initial is missing: timm.scheduler.CosineLRS"),
        ("scheduler", "timm.scheduler.PlateauLRScheduler", "does not work here: use scheduler=plateau"),
        (
            "optimizer",
            "timm.optim.create_optimizer_v2",
            "is a function of another library, and only its classes",
        ),
        ("optimizer", "timm.optim.Lookahead", "does not work here: use callbacks=lookahead"),
        ("loss", "timm.models.create_model", "a function of another library, and only its classes are allowed"),
        ("model", "timm.models.ResNet", "is not a subclass of LightningModule"),
    ]:
        with pytest.raises(SettingError) as refused:
            instantiate.check_node_tree(node(target), group, experiment.SUPPLIED.get(group))
        assert end in str(refused.value)


@pytest.mark.parametrize("t_in_epochs", [True, False])
def test_schedulers_of_timm_follow_its_counts(t_in_epochs: bool) -> None:
    """The rates are those of timm's own training loop, also with other rates for some layers."""
    groups = [{"params": [torch.zeros(1)], "lr": lr} for lr in (0.8, 0.08)]
    sgd = torch.optim.SGD(groups)
    unit = 1 if t_in_epochs else 4
    make = partial(
        timm.scheduler.CosineLRScheduler, t_initial=5 * unit, warmup_t=2 * unit, lr_min=0.0, t_in_epochs=t_in_epochs
    )
    schedule = optimizers.with_schedule(sgd, make, epochs=5, steps_per_epoch=4)["lr_scheduler"]
    assert schedule["interval"] == ("epoch" if t_in_epochs else "step")
    found = []
    for _ in range(5 * unit):
        found.append(schedule["scheduler"].get_last_lr())
        schedule["scheduler"].step()
    rule = [t / (2 * unit) if t < 2 * unit else (1 + math.cos(math.pi * t / (5 * unit))) / 2 for t in range(5 * unit)]
    assert found == [pytest.approx([0.8 * factor, 0.08 * factor]) for factor in rule]


# Runs ------------------------------------------------------------------------------------------------------------

SMALL = ["model=timm", "data=synthetic", "data.images=100", "data.batch_size=20", "trainer.precision=32"]


def test_a_run_begins_with_pretrained_weights(labbook: Command, weights: dict[str, Tensor]) -> None:
    pretrained = ["model.name=test_vit", "model.pretrained=true", "model.freeze=backbone", "data.image_size=32"]
    run = labbook(*SMALL, *pretrained, "epochs=1", "callbacks=none").run
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(state["network.cls_token"], weights["cls_token"])
    config = (run / "config.yaml").read_text()
    assert "normalize: half" in config

"""Only what the whitelist allows is looked up, and nothing else is run."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from labbook import models
from labbook.config import instantiate, own_code
from labbook.errors import SettingError
from tests.cases import each_case
from tests.config.things import SUPPLIED, node, refused
from tests.config.things import allow_things as allow_things

pytestmark = pytest.mark.usefixtures("allow_things")

FORBIDDEN = [
    "os.system",
    "builtins.eval",
    "builtins.exec",
    "torch.load",
    "torch.hub.load",
    "torchvision.datasets.MNIST",
    "torchvision.models.resnet.torch.load",
    "timm.data.create_dataset",
    "torch.nn.modules.module.functools.partial",
    "subprocess.run",
    "functools.partial",
    "hydra.utils.instantiate",
    "hydra.utils.call",
    "labbook.runs.run_folder.make_run_folder",
    "torch.optim",
    "pytorch_lightning.Trainerx",
    "torch.optimx.Adam",
    # names of other packages' functions inside the modules that are allowed
    "labbook.callbacks.progress.sys.exit",
    "labbook.data.datamodule.torch.hub.load",
    "labbook.data.digits.np.load",
    "torch.optim.sgd.torch.load",
    "pytorch_lightning.callbacks.model_checkpoint.os.system",
    # no callables
    "labbook.models.mlp",
    "",
    3,
    None,
    ["os.system"],
]


@each_case("target", FORBIDDEN)
@pytest.mark.parametrize(
    "place",
    [
        lambda evil: evil,
        lambda evil: {"inner": evil},
        lambda evil: [{"a": 1}, evil],
        lambda evil: node(needed=1, part=evil),
        lambda evil: node(needed=1, parts=[[evil]]),
        lambda evil: node("Part", size=evil),
    ],
    ids=["itself", "in a mapping", "in a list", "as a setting", "in lists of a setting", "for a number"],
)
def test_a_target_that_is_not_allowed_is_refused(target: Any, place: Any) -> None:
    text = refused(place({"_target_": target}), SUPPLIED)
    assert f"._target_={target} is not allowed; allowed are labbook.callbacks.*, " in text
    assert "pytorch_lightning.Trainer" in text


def test_what_is_refused_is_not_even_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for target in ("os.system", "labbook.data.image_cache.os.system", "subprocess.getoutput"):
        evil = {"_target_": target, "command": f"touch {canary}", "cmd": f"touch {canary}"}
        refused({"thing": evil})
        with pytest.raises(SettingError):  # also where nobody had checked
            instantiate.build_object({"_target_": "torch.optim.SGD", "_partial_": True, "lr": evil})
    assert not canary.exists()


def test_every_allowed_pattern_names_something_that_exists() -> None:
    assert EXAMPLES.keys() == set(own_code.GIVEN)
    for example in EXAMPLES.values():
        if importlib.util.find_spec(package := example.partition(".")[0]) is None:
            with pytest.raises(SettingError, match=f"^x: {package} is not installed: "):
                instantiate.resolve_target(example, "x")
        else:
            assert callable(instantiate.resolve_target(example, "x")), example


EXAMPLES = {
    "labbook.callbacks.*": "labbook.callbacks.Progress",
    "pytorch_lightning.Trainer": "pytorch_lightning.Trainer",
    "labbook.data.*": "labbook.data.digits.Digits",
    "labbook.loggers.*": "labbook.loggers.TensorBoard",
    "labbook.training.losses.*": "labbook.training.losses.FocalLoss",
    "labbook.models.*": "labbook.models.mlp.MLP",
    "labbook.training.schedulers.*": "labbook.training.schedulers.cosine",
    "pytorch_lightning.callbacks.*": "pytorch_lightning.callbacks.EarlyStopping",
    "pytorch_lightning.loggers.*": "pytorch_lightning.loggers.WandbLogger",
    "pytorch_lightning.profilers.*": "pytorch_lightning.profilers.SimpleProfiler",
    "torch.nn.*": "torch.nn.CrossEntropyLoss",
    "torch.optim.*": "torch.optim.Adam",
    "kornia.augmentation.*": "kornia.augmentation.RandomAffine",
    "kornia.enhance.*": "kornia.enhance.Normalize",
    "kornia.filters.*": "kornia.filters.GaussianBlur2d",
    "kornia.geometry.*": "kornia.geometry.Resize",
    "kornia.losses.*": "kornia.losses.FocalLoss",
    "kornia.metrics.*": "kornia.metrics.AverageMeter",
    "timm.layers.*": "timm.layers.DropPath",
    "timm.loss.*": "timm.loss.SoftTargetCrossEntropy",
    "timm.models.*": "timm.models.ResNet",
    "timm.optim.*": "timm.optim.Lamb",
    "timm.scheduler.*": "timm.scheduler.CosineLRScheduler",
    "torchmetrics.*": "torchmetrics.F1Score",
    "torchvision.models.*": "torchvision.models.ResNet",
    "torchvision.ops.*": "torchvision.ops.StochasticDepth",
    "torchvision.transforms.*": "torchvision.transforms.v2.RandomRotation",
}


@pytest.mark.parametrize(
    "target",
    ["labbook.models.nope.Net", "labbook.models.mlp.Nope", "torch.optim.Foo", "labbook.models.mlp.MLP.nope"],
)
def test_a_target_that_does_not_exist_is_refused(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused({"_target_": target}) == f"thing._target_={target} does not exist"
    assert capsys.readouterr() == ("", "")


def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(instantiate, "allowed_targets", lambda: (f"{name}.*",))


def test_a_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(tmp_path, monkeypatch, "needy", "import no_such_package\nclass Net: ...\n")
    assert refused({"_target_": "needy.Net"}) == "thing: no_such_package is not installed: pip install no_such_package"


def test_the_extra_of_a_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name == "labbook.models.timm_model" or name.partition(".")[0] == "timm":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(models, "timm_model", raising=False)
    monkeypatch.setitem(sys.modules, "timm", None)
    sentence = "timm is not installed: make setup EXTRAS=timm, or pip install -e '.[timm]'"
    for target in ("labbook.models.timm_model.TimmModel", "timm.optim.Lion"):
        with pytest.raises(SettingError) as missing:
            instantiate.resolve_target(target, "model")
        assert str(missing.value) == f"model: {sentence}"


@pytest.mark.parametrize("target", ["torchvision.models.resnet18", "torchvision.models.get_model"])
def test_a_function_of_a_library_is_refused_even_if_it_creates_what_is_wanted(target: str) -> None:
    with pytest.raises(SettingError, match="is a function of another library, and only its classes are allowed"):
        instantiate.check_node_tree({"_target_": target, "weights": "DEFAULT"}, "loss")


def test_a_module_that_cannot_be_read_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module(tmp_path, monkeypatch, "broken", "class Net(:\n")
    assert refused({"_target_": "broken.Net"}).startswith("thing._target_=broken.Net cannot be imported: SyntaxError: ")

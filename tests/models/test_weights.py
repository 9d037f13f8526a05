"""Initial weights from files, runs and addresses."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from labbook import experiment
from labbook.errors import SettingError
from labbook.models import weights
from labbook.models.weights import load_weights_from
from tests.cases import each_case
from tests.composing import composed
from tests.conftest import Command
from tests.data.mirror import serving
from tests.models.conftest import Small
from tests.test_train import metrics_of

needs_timm = pytest.mark.skipif(not find_spec("timm"), reason="needs the extra: make setup EXTRAS=timm")
Change = Callable[[dict[str, Tensor]], Any]

CONTAINERS: dict[str, Change] = {
    "state dict": dict,
    "of Lightning": lambda state: {"state_dict": state, "epoch": 3, "optimizer_states": []},
    "of timm": lambda state: {"arch": "small", "state_dict": {f"module.{name}": item for name, item in state.items()}},
    "compiled": lambda state: {"model": {f"_orig_mod.{name}": item for name, item in state.items()}},
    "wrapped twice": lambda state: {f"model.backbone.{name}": item for name, item in state.items()},
}


def refusal(network: nn.Module, source: Path | str) -> str:
    before = {name: item.clone() for name, item in network.state_dict().items()}
    with pytest.raises(SettingError) as refused:
        load_weights_from(network, str(source))
    assert "\n" not in str(refused.value)
    assert all(torch.equal(item, before[name]) for name, item in network.state_dict().items())
    return str(refused.value).removeprefix(f"model.weights={source}")


@each_case("how", CONTAINERS)
@each_case("suffix", ["pth", "ckpt", "safetensors"])
def test_weights_are_taken_by_name(how: str, suffix: str, small: Small, tmp_path: Path) -> None:
    file = tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        pytest.importorskip("safetensors", reason="needs the extra: make setup EXTRAS=export")
        from safetensors.torch import save_file

        inner = CONTAINERS[how](small.state_dict())
        save_file(inner.get("state_dict", inner.get("model", inner)), file)
    else:
        torch.save(CONTAINERS[how](small.state_dict()), file)
    other = Small()
    loaded = load_weights_from(other, str(file))
    assert all(torch.equal(item, small.state_dict()[name]) for name, item in other.state_dict().items())
    assert str(loaded) == f"initial weights of 3 of 3 layers from {file}"
    assert (loaded.layers, len(loaded.sha256), loaded.unused) == (3, 64, 0)


def test_layers_of_other_shapes_and_missing_ones_are_named(small: Small, tmp_path: Path) -> None:
    state = small.state_dict()
    before = state["head.bias"].clone()
    stored = {name: torch.ones_like(item) for name, item in state.items() if not name.startswith("norm")}
    stored |= {"head.weight": torch.ones(3, 180), "extra.weight": torch.ones(2)}
    torch.save(stored, tmp_path / "weights.pth")
    loaded = load_weights_from(small, str(tmp_path / "weights.pth"))
    assert str(loaded) == (
        f"initial weights of 1 of 3 layers from {tmp_path}/weights.pth; other shapes: head; not in the file: norm; not"
        " used: 1 tensors of the file"
    )
    assert (small.conv.weight == 1).all()
    assert torch.equal(small.head.bias, before)  # a layer is loaded whole or not at all


class TwoNetworks(nn.Module):
    """Layers of the same name in two parts, and a parameter of the network itself."""

    def __init__(self, value: float, tokens: int = 1) -> None:
        super().__init__()
        self.backbone, self.net = nn.ModuleDict({"fc": nn.Linear(2, 2)}), nn.ModuleDict({"fc": nn.Linear(2, 2)})
        self.token, self.position = nn.Parameter(torch.full((1,), value)), nn.Parameter(torch.zeros(tokens))
        for part, factor in ((self.backbone, 1), (self.net, 2)):
            nn.init.constant_(part["fc"].weight, factor * value)  # type: ignore[arg-type]


def test_two_networks_in_one_keep_their_own_weights(tmp_path: Path) -> None:
    network = TwoNetworks(0.0, tokens=3)
    torch.save({f"network.{name}": item for name, item in TwoNetworks(1.0).state_dict().items()}, tmp_path / "two.pth")
    loaded = load_weights_from(network, str(tmp_path / "two.pth"))
    assert [item.unique().tolist() for name, item in network.state_dict().items() if "weight" in name] == [[1], [2]]
    assert (loaded.layers, loaded.other_shapes, network.token.tolist()) == (3, ("position",), [1])


def reordered(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `Small` under the names of another implementation, without the last layer."""
    names = {"conv": "features.0.0", "norm": "features.0.1"}
    return {f"{names[layer]}.{last}": item for layer, _, last in (name.rpartition(".") for name in state)
            if layer in names for item in [state[f"{layer}.{last}"]]}  # fmt: skip


def test_tensors_with_other_names_are_matched_by_order(small: Small, tmp_path: Path) -> None:
    state = reordered(small.state_dict())
    torch.save(state, tmp_path / "weights.pth")
    other = Small()
    loaded = load_weights_from(other, str(tmp_path / "weights.pth"))
    assert str(loaded) == (
        f"initial weights of 2 of 3 layers from {tmp_path}/weights.pth; matched by order, because their names differ;"
        " not in the file: head"
    )
    assert torch.equal(other.conv.weight, small.conv.weight)
    assert torch.equal(other.norm.running_var, small.norm.running_var)  # type: ignore[arg-type]
    others: dict[str, dict[str, Tensor]] = {
        "another order": dict(reversed(state.items())),
        "another shape": state | {"features.0.1.bias": torch.zeros(4)},
        "another network": {name: item for name, item in state.items() if "1.bias" not in name},
        "two more layers": state | {name: torch.zeros(1) for name in ("a.weight", "b.weight")},
    }
    for wrong in others.values():
        torch.save(wrong, tmp_path / "weights.pth")
        assert " has no layer of this network" in refusal(Small(), tmp_path / "weights.pth")


class Evil:
    def __reduce__(self) -> Any:
        return print, ("executed",)


def test_what_cannot_be_used_is_refused(small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"features.weight": torch.ones(2), "n": 3}, tmp_path / "other.pth")
    assert refusal(small, tmp_path / "other.pth") == (
        " has no layer of this network: the network has conv.weight, norm.weight, norm.bias and 4 more, and the file"
        " features.weight"
    )
    torch.save(Evil(), tmp_path / "evil.pth")
    endless: dict[str, Any] = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "endless.pth")
    (tmp_path / "damaged.ckpt").write_bytes((tmp_path / "other.pth").read_bytes()[:200])
    for name in ("evil.pth", "endless.pth", "damaged.ckpt"):
        assert refusal(small, tmp_path / name) == " is not a file of tensors, or is damaged, so it is not loaded"
    assert "executed" not in capsys.readouterr().out
    for name in ("pytorch_model.bin", "weights.h5"):
        (tmp_path / name).touch()
    assert refusal(small, tmp_path / "pytorch_model.bin") == (
        ": .bin files can contain code; use the .safetensors file beside it"
    )
    assert refusal(small, tmp_path / "weights.h5").startswith(
        ": use a file .pth, .pt, .ckpt, .tar, .th or .safetensors"
    )
    assert [refusal(small, name) for name in ("nowhere.pth", "logs/runs/NAME")] == [" does not exist"] * 2
    assert refusal(small, tmp_path) == " is not the folder of a run with a checkpoint"
    assert refusal(small, "ftp://a/b.pth") == ": use a file, a run folder, https://... or hf://OWNER/NAME"
    assert refusal(small, "http://127.0.0.1:9/b.pth").startswith(" cannot be downloaded (")


def test_an_address_is_downloaded_once(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    torch.save(small.state_dict(), tmp_path / "small.pth")
    with serving() as web:
        address = web.put("a/small.pth?raw=1", (tmp_path / "small.pth").read_bytes())
        for _ in range(2):
            other = Small()
            assert load_weights_from(other, address).layers == 3
            assert torch.equal(other.conv.weight, small.conv.weight)
        assert len(web.asked) == 1


@pytest.mark.skipif(not find_spec("huggingface_hub"), reason="needs the extra: make setup EXTRAS=datasets")
@pytest.mark.extra
def test_a_model_of_the_hub_is_read_from_its_cache_without_internet(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cached, commit = tmp_path / "models--me--small", "0123456789" * 4
    files = cached / "snapshots" / commit
    for folder in (files / "a", cached / "refs", cached / "blobs"):
        folder.mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    torch.save(small.state_dict(), cached / "blobs" / "1f")
    (files / "a" / "b.pth").symlink_to("../../../blobs/1f")
    other = Small()
    assert load_weights_from(other, "hf://me/small/a/b.pth").layers == 3
    assert torch.equal(other.conv.weight, small.conv.weight)
    if find_spec("safetensors"):
        from safetensors.torch import save_file

        save_file(small.state_dict(), cached / "blobs" / "2f")
        (files / "model.safetensors").symlink_to("../../blobs/2f")
        assert load_weights_from(Small(), "hf://me/small").layers == 3
    assert refusal(small, "hf://me/other").startswith(" cannot be downloaded (https://huggingface.co: Cannot reach")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", pytest.fail)  # as between two tries of the library
    assert refusal(small, "hf://me/other").startswith(" cannot be downloaded (http://127.0.0.1:9: ")
    assert constants.HF_HUB_OFFLINE is False
    assert refusal(small, "hf://small") == ": use hf://OWNER/NAME, or hf://OWNER/NAME/FILE"


def test_the_hub_needs_its_library(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda _: None)
    assert refusal(small, "hf://me/small").startswith(": its library is not installed: make setup EXTRAS=datasets")


@pytest.mark.parametrize(
    ("network", "normalize", "size"),
    [
        ("model=mobilenet_v2", "imagenet", 224),
        ("model=lenet5", None, None),
        pytest.param("model=timm model.name=vit_tiny_patch16_224", "half", 224, marks=needs_timm),
    ],
)
def test_images_follow_a_file_as_they_follow_the_network_s_own_pretrained_weights(
    network: str, normalize: str | None, size: int | None
) -> None:
    found = experiment.pretrained_settings(composed(*network.split(), "model.weights=weights.pth", "data=cats_dogs"))
    assert (found.get("normalize"), found.get("image_size")) == (normalize, size)
    given = composed(*network.split(), "model.weights=weights.pth", "data.image_size=64", "data.normalize=unit")
    assert not {"image_size", "normalize"} & experiment.pretrained_settings(given).keys()


def test_weights_that_are_missing_are_refused_before_the_run_begins(labbook: Command, tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(3)}, "other.pth")
    for source, reason in (("nowhere.pth", " does not exist"), ("other.pth", " has no layer of this network: ")):
        ended = labbook("model=mlp", "data.limit=10", f"model.weights={source}")
        assert (ended.code, ended.out) == (2, "")
        assert ended.sentence.startswith(f"model.weights={source}{reason}")
    assert [path.name for path in tmp_path.iterdir()] == ["other.pth"]


def test_two_sources_of_weights_are_refused(labbook: Command) -> None:
    refused = labbook("model=resnet18", "model.pretrained=true", "model.weights=weights.pth", "data.limit=10")
    assert refused.sentence == "model.weights=weights.pth would replace the weights of model.pretrained=true: use one"


def test_a_run_starts_with_the_weights_of_another_and_resumes_without_them(labbook: Command) -> None:
    plain = ("model=mlp", "data.limit=100", "callbacks=none", "epochs=1")
    first = labbook(*plain, "data.normalize=half", "data.image_size=20").run
    ended = labbook(*plain, f"model.weights={first}", "optimizer.lr=1e-12", "data.image_size=null")
    assert f"initial weights of 2 of 2 layers from {first}" in ended.out
    of_file = experiment.pretrained_settings(
        composed(f"model.weights={first}/checkpoints/last.ckpt", "data.image_size=null")
    )
    assert of_file == {"image_size": 20, "normalize": "half"}  # those of the run that the file belongs to
    metrics = metrics_of(ended.run)
    assert metrics["test/acc"] == metrics_of(first)["test/acc"]
    assert metrics["initial_weights"]["layers"] == 2
    assert "  image_size: 20\n" in (ended.run / "config.yaml").read_text()
    assert "  normalize: half\n" in (ended.run / "config.yaml").read_text()
    for file in (first / "checkpoints").iterdir():
        file.unlink()
    longer = labbook(f"resume={ended.run}", "epochs=2")
    assert longer.code == 0, longer.err
    assert "initial weights" not in longer.out
    refused = labbook(*plain, f"model.weights={first}")
    assert refused.sentence == f"model.weights={first} is not the folder of a run with a checkpoint"
    initialized = labbook(*plain, f"model.weights={ended.run}", "task.init=he")
    assert initialized.sentence == "task.init=he would replace the pretrained weights: use task.init=torch"

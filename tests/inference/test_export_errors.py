"""Networks, arguments and files that export and its readers refuse."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from torch import Tensor

from labbook.errors import ExportError, SettingError
from labbook.inference.export import writers
from labbook.inference.export.writers import Exported
from labbook.models.mlp import MLP
from tests.composing import composed
from tests.conftest import Command
from tests.inference.test_export import command as command
from tests.inference.test_export import needs_extra
from tests.models.test_architectures import spec_of


class ByCount(MLP):
    """Judges many images otherwise than few."""

    def forward(self, images: Tensor) -> Tensor:
        """Images [n, C, H, W] -> logits [n, classes]."""
        return super().forward(images) * (2 if len(images) > 2 else 1)


class ByContent(MLP):
    """Judges bright images otherwise than dark ones."""

    def forward(self, images: Tensor) -> Tensor:
        """Images [n, C, H, W] -> logits [n, classes]."""
        return super().forward(images) * (2 if images.sum() > 0 else 1)


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (ByCount, r"^ByCount works with one batch size only.* --format=safetensors accepts every"),
        (ByContent, r"^torch cannot record the steps of ByContent \(.*\); --format=safetensors accepts every"),
    ],
)
def test_a_network_without_recordable_steps_is_refused(network: type[MLP], sentence: str) -> None:
    with pytest.raises(ExportError, match=sentence):
        writers.torch_export_content(Exported(network(spec_of(1, 4, 2)), "none"), {})


def test_a_network_too_large_for_onnx_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "LARGEST", 100)
    with pytest.raises(SettingError, match=r"--format=onnx allows at most 2 GiB, .* --format=torch_export"):
        writers.onnx_content(Exported(MLP(spec_of(1, 4, 2)), "none"), {})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "--format", "onnx"], "nowhere is not a run folder: it has no config.yaml"),
        (["RUN", "--format", "torch_export", "--out", "a.onnx"], "--out=a.onnx must end in .pt2, as files of"),
        (["RUN", "--format", "torch_export", "--out", "no/a.pt2"], "--out=no/a.pt2: there is no folder no"),
        (["RUN", "--format", "torch_export", "--out", "dir.pt2"], "--out dir.pt2 is a folder"),
        (["RUN", "--format", "torch_export", "--out", "s3://a/b.pt2"], "is not a local path"),
        (["RUN", "--format", "torch_export", "--opset", "18"], "--opset=18 is only for --format=onnx"),
        (["RUN", "--format", "onnx", "--opset", "9"], "--opset=9 must be from 18 to 23"),
        (["RUN", "--format", "torch_export", "--weights", "best"], "does not exist"),
    ],
)
def test_refusals(
    command: Command, arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir.pt2").mkdir()
    run = tmp_path / "run"
    run.mkdir()
    whole = OmegaConf.to_container(composed("callbacks=none"), resolve=True)
    assert isinstance(whole, dict)
    OmegaConf.save(
        OmegaConf.create({name: item for name, item in whole.items() if name != "sweep"}), run / "config.yaml"
    )
    ended = command(*[str(run) if item == "RUN" else item for item in arguments])
    assert ended.code == 2
    assert sentence in ended.sentence


ABOUT = {"channels": "1", "classes": '["a", "b"]', "image_size": "4", "mean": "[0.5]", "std": "[0.5]", "tta": "none",
         "model": '{"_target_": "labbook.models.mlp.MLP", "depth": 0}'}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"model": '{"_target_": "os.system"}'}, r"model\._target_=os\.system is not allowed"),
        ({"model": '{"_target_": "labbook.models.mlp.MLP", "depth": -1}'}, "model.depth must be"),
        ({"model": '{"_target_": "labbook.models.mlp.MLP", "width": 3}'}, "has another network than MLP"),
        ({"model": "[1]"}, "does not name the network"),
        ({"model": "["}, "does not name the network"),
        ({"classes": "3"}, "its description of the images is not that of a run"),
        ({"tta": "all"}, "does not name the network"),
    ],
)
def test_what_a_file_of_safetensors_says_is_checked(changed: dict[str, str], sentence: str, tmp_path: Path) -> None:
    needs_extra()
    from safetensors.torch import save

    weights = MLP(spec_of(1, 4, 2), depth=0).state_dict()
    file = tmp_path / "model.safetensors"
    file.write_bytes(save(weights, ABOUT))
    assert writers.read_safetensors(file).spec.class_names == ("a", "b")
    file.write_bytes(save(weights, ABOUT | changed))
    with pytest.raises(SettingError, match=sentence):
        writers.read_safetensors(file)


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "there is no file"), (b"PK", "is damaged, or not a safetensors")]
)
def test_what_is_no_file_of_safetensors_is_refused(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    needs_extra()
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    with pytest.raises(SettingError, match=sentence):
        writers.read_safetensors(tmp_path / "x")

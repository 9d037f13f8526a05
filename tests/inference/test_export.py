"""Networks written to files for other programs."""

import copy
import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from labbook.cli.commands import export
from labbook.data.decoding import Decoding, decode
from labbook.data.digits import Digits
from labbook.data.resize import resize_and_convert
from labbook.errors import SettingError
from labbook.inference import trained_model
from labbook.inference.export import export_model, formats, writers
from labbook.inference.export.export_model import export_metadata, exported_metrics
from labbook.inference.export.pixels import shaped_image
from labbook.inference.export.writers import Exported
from labbook.inference.trained_model import TrainedModel
from labbook.models.mlp import MLP
from labbook.runs.resume import read_run_config
from labbook.training.hardware import DeviceChoice
from labbook.training.tta import Tta
from tests import composing
from tests.conftest import Command
from tests.models.test_architectures import MODELS, SMALL, build, spec_of

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python scripts/export\.py .*$", PAGE, re.MULTILINE)
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def command(script: Callable[[ModuleType], Command]) -> Command:
    return script(export)


def held(name: str, tta: Tta) -> TrainedModel:
    """A network as if it came from a run."""
    model = build(name, 3, 32, 10).eval()
    node = OmegaConf.merge(composing.node(name), SMALL.get(name, {}))
    data = {"_target_": "labbook.data.synthetic.Synthetic"}
    config = OmegaConf.create({"model": node, "data": data, "task": {"tta": tta}, "test_checkpoint": "last"})
    return TrainedModel(Path("run"), config, model, DeviceChoice("cpu", "32-true", False, ""), 1)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript", "safetensors"])
def test_a_package_that_is_not_there_is_named_by_its_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == package else object())
    name = next(name for name, packages in formats.PACKAGES.items() if package in packages)
    with pytest.raises(SettingError, match=rf"^--format={name} is not installed: make setup EXTRAS=export"):
        formats.export_target(Path(), name, None)


def needs_extra() -> None:
    for package in ("onnx", "onnxruntime", "onnxscript", "safetensors"):
        pytest.importorskip(package, reason="the extra export is not installed")


@pytest.mark.slow
def test_the_documented_commands_and_examples(
    labbook: Command, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_extra()
    run = labbook("model=mlp", "epochs=2", "task.tta=mirror", "callbacks=none", "trainer.precision=32").run
    assert len(COMMANDS) == 3
    for line in COMMANDS:
        ended = command(*shlex.split(line.replace("logs/runs/NAME", str(run)))[2:])
        assert (ended.code, ended.err) == (0, "")
        difference, file = ended.out.splitlines()[-2:]
        least = r"(0|\de-\d+)"
        assert re.fullmatch(
            rf"batches of 1 and 3 differ from PyTorch's: logits by {least}, probabilities by {least}", difference
        )
        assert "with task.tta=mirror" in ended.out
        content = Path(file.removeprefix("file: ")).read_bytes()
        assert run.name.encode() in content  # the folder's name, and no path of this machine
        assert not re.search(rb"site-packages|/labbook/|%s" % re.escape(bytes(Path.cwd().parent)), content)

    digits = Digits(image_size=28)
    digits.setup()
    image = digits.parts["test"].pixels[:1]
    small = Digits(image_size=8)
    small.setup()
    Image.fromarray(small.parts["test"].pixels[0, 0].numpy()).save("IMAGE.png")  # as it is in the set
    chances = trained_model.load_trained(run, read_run_config(run), None, "predict").probabilities(image)[0]
    monkeypatch.syspath_prepend(Path.cwd())
    for code in EXAMPLES[:2]:
        assert "labbook." not in code.replace('"labbook.json"', "")
        capsys.readouterr()
        exec(compile(code, "docs/export.md", "exec"), {})
        assert capsys.readouterr().out == f"{int(chances.argmax())} {chances.max():.4f}\n"
    found: dict[str, Any] = {}
    exec(compile(EXAMPLES[2], "docs/export.md", "exec"), found)
    torch.testing.assert_close(found["network"](image)[1][0], chances)


def test_the_run_and_its_figures_are_told(labbook: Command, command: Command) -> None:
    needs_extra()
    run = labbook("model=mlp", "model.width=5", "debug=fast", "callbacks=none").run
    config = read_run_config(run)
    del config.task["tta"]  # as in a run from before there was that setting
    OmegaConf.save(config, run / "config.yaml")
    before = (run / "metrics.json").read_text()
    (run / "metrics.json").write_text(before.replace('"status": "finished"', '"status": "running"'))  # and was killed
    ended = command(str(run), "--format", "safetensors")
    assert (ended.code, ended.err) == (0, "note: the run is not finished (interrupted): its last checkpoint is used\n")
    _, told = writers.safetensors_parts(run / "model.safetensors")
    assert (told["run"], told["weights"], told["epochs"], told["tta"]) == (run.name, "best", "1", "none")
    assert json.loads(told["classes"]) == [str(number) for number in range(10)]
    assert json.loads(told["model"])["width"] == 5
    assert json.loads(told["figures"]).keys() >= {"train/loss", "test/acc", "tested_epoch"}
    assert (told["channels"], told["image_size"]) == ("1", "28")
    assert "data" not in told


def test_figures_that_are_none_are_left_out() -> None:
    metrics = {"test/acc": 0.5, "val/loss": float("nan"), "test/confusion_matrix": [[1]], "seed": 3}
    assert exported_metrics(metrics) == {"test/acc": 0.5}


@pytest.mark.parametrize("wrong", [0.1, float("nan")])
def test_a_file_that_computes_something_else_is_not_kept(
    trained: Callable[..., Path], command: Command, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    needs_extra()
    run = trained("model=mlp", "debug=fast", "callbacks=none")
    before = sorted(run.rglob("*"))
    content, read = writers.FUNCTIONS["safetensors"]

    def broken(network: Exported, told: dict[str, str]) -> bytes:
        other = copy.deepcopy(network)
        torch.nn.init.constant_(next(other.parameters()), wrong)
        return content(other, told)

    monkeypatch.setitem(writers.FUNCTIONS, "safetensors", (broken, read))
    ended = command(str(run), "--format", "safetensors")
    assert ended.code == 1
    told = r"the outputs differ from PyTorch's \(logits by \S+, probabilities by \S+\): not written"
    assert re.match(told, ended.sentence)
    assert sorted(run.rglob("*")) == before


ABOUT_IMAGES = {"image_size": "28", "channels": "1", "decoding": '{"size": 20, "channels": 3, "range": [0, 4095]}'}


def pictures(folder: Path) -> list[Path]:
    """Images of which each takes another way through the decoding."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 4), dtype=np.uint8)
    colours = Image.fromarray(noise[..., :3])
    turned = Image.Exif()
    turned[0x112] = 6
    colours.resize((90, 70)).save(folder / "plain.jpg")
    colours.save(folder / "large.jpg", exif=turned)
    colours.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(noise).save(folder / "transparent.png")
    colours.quantize(16).save(folder / "palette.gif", transparency=3)
    Image.fromarray(noise[..., 0].astype(np.uint16) * 16).save(folder / "sixteen.png")
    Image.fromarray(noise[..., 0].astype(np.uint16) * 16).save(folder / "sixteen.tif")
    colours.convert("1").save(folder / "bits.png")
    content = (folder / "plain.jpg").read_bytes()
    (folder / "without_end.jpg").write_bytes(content[:-2])
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    (folder / "none.png").write_text("no image")
    return sorted(folder.iterdir())


def test_the_module_beside_a_file_reads_images_as_the_program_does(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    files = pictures(tmp_path / "images")
    (tmp_path / formats.COMPANION).write_text(formats.companion_source(), encoding="utf-8")
    source = formats.companion_source()
    functions = re.findall(r"^def (\w+)", source, re.MULTILINE)
    assert [name for name in functions if source.count(name) == 1] == ["classes_of"]  # for its user, as read_image
    code = "import json, sys\nsys.modules['labbook'] = None\nfrom labbook_pixels import read_image\n" + (
        "for file in sys.argv[2:]:\n"
        "    try: print(read_image(file, json.loads(sys.argv[1])).tobytes().hex())\n"
        "    except ValueError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, json.dumps(ABOUT_IMAGES), *map(str, files)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    for file, told in zip(files, ended.stdout.splitlines(), strict=True):
        decoded = decode(file, Decoding(20, 3, (0.0, 4095.0)))
        if decoded.image is None:
            assert told == f"{file} {decoded.problem}"
        else:
            assert (
                told == resize_and_convert(torch.from_numpy(decoded.image.copy())[None], 28, 1).numpy().tobytes().hex()
            ), file
    assert [name for name, told in zip(files, ended.stdout.splitlines(), strict=True) if " " in told] == [
        tmp_path / "images" / "cut.jpg", tmp_path / "images" / "none.png"
    ]  # fmt: skip


def test_images_are_resized_as_torch_does() -> None:
    for channels, wanted, side, size in itertools.product((1, 3), (1, 3), (8, 28, 33), (1, 2, 8, 28, 96, 224)):
        images = torch.randint(0, 256, (1, channels, side, side), dtype=torch.uint8)
        assert np.array_equal(
            shaped_image(images[0].numpy(), size, wanted), resize_and_convert(images, size, wanted)[0].numpy()
        )


def test_a_module_of_somebody_else_s_stays(tmp_path: Path) -> None:
    formats.check_companion(tmp_path / "model.onnx")
    (tmp_path / formats.COMPANION).write_text(formats.companion_source(), encoding="utf-8")
    formats.check_companion(tmp_path / "model.onnx")
    (tmp_path / formats.COMPANION).write_text("mine = 1\n")
    with pytest.raises(SettingError, match="was not written by an export, which writes its own there"):
        formats.check_companion(tmp_path / "model.onnx")


@pytest.mark.parametrize(("opset", "form"), [(18, 8), (21, 10)])
def test_an_opset_is_chosen_and_with_it_the_oldest_form_of_the_file(opset: int, form: int, tmp_path: Path) -> None:
    needs_extra()
    from onnx import load_model_from_string

    network = MLP(spec_of(1, 4, 2)).eval()
    content = writers.onnx_content(Exported(network, "none"), {}, opset)
    model = load_model_from_string(content)
    assert (model.opset_import[0].version, model.ir_version) == (opset, form)
    (tmp_path / "a.onnx").write_bytes(content)
    pixels = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8)
    torch.testing.assert_close(
        writers.read_onnx(tmp_path / "a.onnx")(pixels)[0], Exported(network, "none")(pixels)[0].detach()
    )


TORCHVISIONS = ["googlenet", "mobilenet_v3_small", "resnet18", "vit_b_16"]
LIKENESSES: list[tuple[str, Tta]] = [("lenet5", "mirror"), ("lenet5", "mirror_translate"), ("vit", "mirror_translate")]


@pytest.mark.slow
@pytest.mark.parametrize("format_name", formats.FORMATS)
@pytest.mark.parametrize(("name", "tta"), [*((name, "none") for name in (*MODELS, *TORCHVISIONS)), *LIKENESSES])
def test_every_network(name: str, tta: Tta, format_name: str, tmp_path: Path) -> None:
    needs_extra()
    network = held(name, tta)
    file = tmp_path / "file"
    content, read = writers.FUNCTIONS[format_name]
    file.write_bytes(content(Exported(network.model, tta), export_metadata(network, None)))
    assert export_model.difference_from_torch(read(file), network)["probabilities"] < 1e-5

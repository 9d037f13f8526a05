"""The scripts on runs of modules and data of a user's own: what they do, and what they say is missing."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from labbook.cli.commands import compare, draw, evaluate, export, predict, serve
from labbook.installation import PROJECT_VARIABLE
from tests.conftest import Command
from tests.data.samples import album
from tests.own.conftest import PROJECT
from tests.test_train import metrics_of
from tools import model_costs

Script = Callable[[ModuleType], Command]

QUICK = ("epochs=2", "logger=none", "callbacks=none")
RUNS = {
    "autoencoder": "model=autoencoder data=digits data.limit=100 objective=val/loss",
    "gan": "model=gan data=digits data.limit=100 objective=g_loss",
    "regression": "model=regression data=numbers objective=val/r2",
    "photographs": "model=mlp data=photographs data.size=16 data.batch_size=8 data.workers=0",
}
CLASSIFIER = "needs a Classifier (labbook.training.classifier), and {} is not one"
IMAGES = "needs an ImageDataModule (labbook.data.datamodule), and {} is not one"
LACKS = {"autoencoder": CLASSIFIER.format("Autoencoder"), "gan": CLASSIFIER.format("GAN"),
         "regression": CLASSIFIER.format("Regression"), "photographs": IMAGES.format("Photographs")}  # fmt: skip


@pytest.fixture
def trained(mylab: Command, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a run of `RUNS`, trained for the first test that asks for it."""
    kept = tmp_path_factory.getbasetemp() / "own_runs"
    kept.mkdir(exist_ok=True)

    def run(name: str) -> Path:
        if not (kept / name).is_dir():
            root = album(kept / "images", {"train": 12, "val": 4, "test": 4}) if name == "photographs" else None
            ended = mylab(*RUNS[name].split(), *QUICK, *([f"data.root={root}"] if root else []))
            assert ended.code == 0, ended.err
            ended.run.rename(kept / name)
        return kept / name

    return run


@pytest.mark.parametrize("name", [pytest.param("autoencoder", marks=pytest.mark.slow), "regression", "photographs"])
def test_evaluate_reports_what_the_test_logs(
    trained: Callable[[str], Path], script: Script, tmp_path: Path, name: str
) -> None:
    run = trained(name)
    own = metrics_of(run)
    ended = script(evaluate)(run, "--out", tmp_path / "best")
    assert ended.code == 0, ended.err
    found = json.loads((tmp_path / "best" / "evaluation.json").read_text())
    names = [key for key in own if key.startswith("test/") and key != "test/confusion_matrix"]
    assert found["metrics"] == {key: pytest.approx(own[key]) for key in names}
    assert (found["epoch"], found["split"], found["settings"]) == (own["tested_epoch"], "test", [])
    if name == "photographs":
        assert ended.out.startswith(f"test loss {own['test/loss']:.4f} acc {own['test/acc']:.4f}  n 8\nclass")
        assert [row["name"] for row in found["classes"]] == ["cat", "dog"]
    else:
        assert ended.out.splitlines()[:-1] == [f"{key} {own[key]:.4f}" for key in names]
    last = script(evaluate)(run, "--weights", "last", "--out", tmp_path / "last")
    assert last.code == 0, last.err
    assert json.loads((tmp_path / "last" / "evaluation_weights-last.json").read_text())["epoch"] == 2


def test_evaluate_takes_other_settings_of_own_data(
    trained: Callable[[str], Path], script: Script, tmp_path: Path
) -> None:
    ended = script(evaluate)(trained("regression"), "data.count=90", "--out", tmp_path)
    assert ended.code == 0, ended.err
    found = json.loads((tmp_path / "evaluation_data.count-90.json").read_text())
    assert found["metrics"]["test/mse"] != metrics_of(trained("regression"))["test/mse"]


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("gan", [], "there is no test to evaluate: GAN has no test_step"),
        ("regression", ["--split", "val"], f"--split val {LACKS['regression']}"),
        ("photographs", ["--split", "train"], f"--split train {LACKS['photographs']}"),
        ("autoencoder", ["data=synthetic"], f"another data set {LACKS['autoencoder']}"),
    ],
)
def test_evaluate_says_what_is_missing(
    trained: Callable[[str], Path], script: Script, name: str, arguments: list[str], sentence: str
) -> None:
    ended = script(evaluate)(trained(name), *arguments)
    assert (ended.code, ended.sentence, ended.out) == (2, sentence, "")


@pytest.mark.parametrize("name", RUNS)
def test_predict_and_serve_say_what_is_missing(trained: Callable[[str], Path], script: Script, name: str) -> None:
    pytest.importorskip("captum", reason="the extra serve is not installed")
    Path("a.png").touch()
    for arguments in (["a.png"], ["--test-index", "0"]):
        ended = script(predict)(trained(name), *arguments)
        assert (ended.code, ended.sentence, ended.out) == (2, f"predict {LACKS[name]}", "")
    served = script(serve)(trained(name), "--port", "0")
    assert (served.code, served.sentence) == (2, f"serve {LACKS[name]}")


def test_compare_shows_what_was_logged(trained: Callable[[str], Path], script: Script) -> None:
    ended = script(compare)(trained("gan"), trained("regression"), trained("photographs"))
    assert ended.code == 0, ended.err
    cells = {line.split("  ")[0]: line.split()[-3:] for line in ended.out.splitlines()}
    mine, other = metrics_of(trained("gan")), metrics_of(trained("regression"))
    assert cells["g_loss"] == [f"{mine['g_loss']:.4f}", "–", "–"]
    assert cells["test r2"] == ["–", f"{other['test/r2']:.4f}", "–"]
    said = " ".join(ended.out.split())
    assert "No test metrics: gan." in said
    for name in ("gan", "regression", "photographs"):
        assert f"{name}: a paired test {LACKS[name]}." in said
    assert "test_predictions.csv" not in said


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch_export", "onnx", "safetensors"])
def test_a_module_that_maps_images_is_exported(
    trained: Callable[[str], Path], script: Script, tmp_path: Path, form: str
) -> None:
    for package in ("onnx", "onnxruntime", "onnxscript", "safetensors"):
        pytest.importorskip(package, reason="the extra export is not installed")
    suffix = {"torch_export": "pt2"}.get(form, form)
    ended = script(export)(trained("autoencoder"), "--format", form, "--out", tmp_path / f"a.{suffix}")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[:2] == [
        f"Autoencoder after {metrics_of(trained('autoencoder'))['tested_epoch']} epochs",
        "pixels uint8 [n, 1, 28, 28] -> outputs float32 [n, 1, 28, 28]",
    ]
    assert (tmp_path / "labbook_pixels.py").is_file()  # as digits are images in files of a known kind
    assert re.fullmatch(r"batches of 1 and 3 differ from PyTorch's: outputs by (0|\de-\d+)", lines[-2])


def test_a_classifier_on_data_of_the_users_own_is_exported(
    trained: Callable[[str], Path], script: Script, tmp_path: Path
) -> None:
    pytest.importorskip("safetensors", reason="the extra export is not installed")
    ended = script(export)(trained("photographs"), "--format", "safetensors", "--out", tmp_path / "a.safetensors")
    assert ended.code == 0, ended.err
    assert "to read images for it" not in ended.out
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.safetensors"]


@pytest.mark.parametrize("name", ["gan", "regression"])
def test_export_and_draw_say_what_is_missing(trained: Callable[[str], Path], script: Script, name: str) -> None:
    needs = "needs a model that keeps the `spec` of its images and has forward(images), and"
    title = LACKS[name].removeprefix(CLASSIFIER.partition("{")[0]).partition(" ")[0]
    ended = script(export)(trained(name), "--format", "torch_export")
    assert (ended.code, ended.sentence) == (2, f"export {needs} {title} does not")
    drawn = script(draw)(trained(name), "--figure", "a.gv")
    assert (drawn.code, drawn.sentence) == (2, f"a drawing {needs} {title} does not")


def test_a_module_that_maps_images_is_drawn(
    trained: Callable[[str], Path], script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PROJECT_VARIABLE, str(PROJECT))
    for arguments in ([trained("autoencoder")], ["autoencoder", "data=digits"]):
        ended = script(draw)(*arguments, "--figure", "a.gv")
        assert ended.code == 0, ended.err
        assert "12,560 parameters" in Path("a.gv").read_text()  # of the encoder's dense layer: 784 x 16 + 16


@pytest.mark.parametrize("timed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_table_of_networks_has_modules_that_map_images(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, timed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PROJECT_VARIABLE, str(PROJECT))
    ended = script(model_costs)(
        "autoencoder", "mlp", "gan", "data=digits", "--csv", "a.csv", *([] if timed else ["--no-timing"])
    )
    assert ended.code == 0, ended.err
    with Path("a.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows["autoencoder"]["parameters"] == "25888"
    assert rows["autoencoder"]["macs"] == str(2 * 784 * 16)
    assert rows["gan"]["refused"].endswith(
        "needs a model that keeps the `spec` of its images and has forward(images), and GAN does not"
    )
    if timed:
        assert float(rows["autoencoder"]["forward"]) > 0
        assert (rows["autoencoder"]["training"], rows["autoencoder"]["memory"]) == ("", "")
        assert float(rows["mlp"]["training"]) > 0
        assert "A step of training is measured of classifiers alone, so not of autoencoder." in " ".join(
            ended.out.split()
        )

"""Pictures with two digits each: trained, tested, evaluated, predicted and exported with several classes each."""

import csv
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from types import ModuleType

import numpy as np
import pytest
import torch
from mylab.data.two_digits import TwoDigits

from labbook.cli.commands import compare, evaluate, export, predict
from labbook.data.datamodule import Images
from labbook.errors import SettingError
from labbook.inference import trained_model
from labbook.inference.export import writers
from labbook.inference.serve.explain import METHODS, Explainer
from labbook.runs.resume import read_run_config
from tests.conftest import Command
from tests.own.conftest import PROJECT
from tests.runs.test_resume import signal_at
from tests.test_processes import start
from tests.test_train import metrics_of, same_weights, without_times

MULTI = ("data=two_digits", "loss=bce", "loss.class_weights=balanced", "model=mlp", "model.hidden=[32]")
QUICK = ("data.limit=600", "data.val_split=stratified", "epochs=12")
METRICS = ("metrics=full", "logger=none")


@pytest.fixture
def run(mylab: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on them, trained once and copied for each test."""
    kept = tmp_path_factory.getbasetemp() / "two_digits"
    if not kept.exists():
        ended = mylab(*MULTI, *QUICK, *METRICS)
        assert ended.code == 0, ended.err
        ended.run.rename(kept)
    return Path(shutil.copytree(kept, "logs/runs/kept"))


def test_a_run_knows_several_classes(run: Path, script: object, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test/mean_average_precision"] > 0.5  # of chance: 0.19
    assert metrics["test/average_precision"] == pytest.approx(metrics["test/mean_average_precision"])
    assert 0 < metrics["test/calibration_error"] < 0.5
    assert metrics["test/f1_by_class"].keys() == metrics["thresholds"].keys() == {*"0123456789"}
    assert "test/confusion_matrix" not in metrics
    with (run / "test_predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first = TwoDigits(limit=600)
    first.setup()
    assert rows[0]["labels"] == first.spec.name_of(first.parts["test"].labels[0])
    thresholds = metrics["thresholds"]
    assert rows[1]["predicted"].strip("–").split("|") == (
        [name for name in thresholds if float(rows[1][f"p_{name}"]) > thresholds[name]] or [""]
    )

    of: object = script
    judged = of(evaluate)(run)  # type: ignore[operator]
    assert "average precision" in judged.out
    again = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert again["calibration_error"] == pytest.approx(metrics["test/calibration_error"])
    f1 = {row["name"]: row["f1"] for row in again["classes"]}
    assert f1 == pytest.approx(metrics["test/f1_by_class"])

    said = of(predict)(run, "--test-index", "0", "1", "--json", "p.json")  # type: ignore[operator]
    assert said.out.splitlines()[0].endswith("classes")
    guesses = json.loads(Path("p.json").read_text())
    assert ["|".join(each["classes"]) or "–" for each in guesses] == [row["predicted"] for row in rows[:2]]


@pytest.mark.extra
def test_the_page_and_exported_files_name_all_classes_above_their_thresholds(
    run: Path, script: Callable[[ModuleType], Command], tmp_path: Path
) -> None:
    network = trained_model.load_trained(run, read_run_config(run), None, "serve")
    pixels = network.test_images().pixels[:2]
    chances = network.probabilities(pixels)
    thresholds = json.loads((run / "metrics.json").read_text())["thresholds"]
    expected = [[name for name, p in zip(thresholds, row, strict=True) if p > thresholds[name]] for row in chances]
    assert any(expected)
    pytest.importorskip("captum", reason="the extra serve is not installed")
    explainer = Explainer(network)
    for image, names in zip(pixels, expected, strict=True):
        told = explainer.answer(image[None], next(iter(METHODS)))[3]
        assert told.startswith(f"Predicted classes (above their thresholds): {'|'.join(names) or '–'}. ")

    pytest.importorskip("safetensors", reason="the extra export is not installed")
    ended = script(export)(run, "--format", "safetensors", "--out", tmp_path / "a.safetensors")
    assert ended.code == 0, ended.err
    _, about = writers.safetensors_parts(tmp_path / "a.safetensors")
    assert json.loads(about["thresholds"]) == pytest.approx(list(thresholds.values()))
    read = run_path(str(tmp_path / "labbook_pixels.py"))
    assert [read["classes_of"](row.numpy(), about) for row in chances] == expected
    single = {name: text for name, text in about.items() if name != "thresholds"}
    assert read["classes_of"](np.array([0.1, 0.7, 0.2]), single) == ["1"]


@pytest.mark.slow
@pytest.mark.extra
def test_a_calibrated_run_is_predicted_and_exported_with_its_temperature(
    run: Path, script: Callable[[ModuleType], Command], tmp_path: Path
) -> None:
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package, reason="the extra export is not installed")
    plain = trained_model.load_trained(run, read_run_config(run), None, "predict")
    pixels = plain.test_images().pixels[:20]
    ended = script(evaluate)(run, "--calibrate")
    assert ended.code == 0, ended.err
    scale = json.loads((run / "evaluation" / "calibration.json").read_text())["temperature"]
    assert abs(scale - 1) > 0.01
    expected = (plain.logits(pixels) / scale).sigmoid()

    rows = [str(row) for row in range(20)]
    said = script(predict)(run, "--test-index", *rows, "--top", "10", "--json", "p.json")
    assert said.code == 0, said.err
    for row, each in zip(expected, json.loads(Path("p.json").read_text()), strict=True):
        assert {guess["class"]: guess["probability"] for guess in each["top"]} == pytest.approx(
            {str(name): float(p) for name, p in enumerate(row)}, abs=1e-5
        )
    ended = script(export)(run, "--format", "onnx", "--out", tmp_path / "a.onnx")
    assert ended.code == 0, ended.err
    torch.testing.assert_close(writers.read_onnx(tmp_path / "a.onnx")(pixels)[1], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_runs_are_compared_by_images_with_all_classes_right(
    run: Path, mylab: Command, script: Callable[[ModuleType], Command]
) -> None:
    other = mylab(*MULTI, "data.limit=600", "data.val_split=stratified", "epochs=12", "seed=2", "logger=none")
    right = []
    for path in (run, other.run):
        with (path / "test_predictions.csv").open(newline="") as file:
            right.append([row["labels"] == row["predicted"] for row in csv.DictReader(file)])
    counts = [sum(one and not two for one, two in zip(*pair, strict=True)) for pair in (right, right[::-1])]
    kept = script(compare)(run, other.run)
    assert kept.code == 0, kept.err
    said = " ".join(kept.out.split())
    assert f" {len(right[0])} {counts[0]} {counts[1]} " in said
    assert "An image with several classes is correct if all its classes are" in said
    (other.run / "test_predictions.csv").unlink()
    again = script(compare)(run, other.run)
    assert f" {len(right[0])} {counts[0]} {counts[1]} " in " ".join(again.out.split())


def test_a_metric_that_cannot_judge_them_is_refused_before_the_run_has_a_folder(mylab: Command) -> None:
    ended = mylab(*MULTI, "data.limit=100", "metrics.f1._target_=torchmetrics.classification.MulticlassF1Score")
    assert ended.code == 2
    assert "metrics.f1" in ended.sentence
    assert "into " not in ended.out
    assert not Path("logs/runs").exists()


@pytest.mark.slow
def test_a_sweep_is_reported(mylab: Command) -> None:
    ended = mylab("-m", *MULTI, "data.limit=200", "epochs=2", "model.hidden=[8],[16]", "seeds=2", "logger=none")
    assert ended.code == 0, ended.err
    assert "test mean average precision" in ended.out
    assert "test/mean_average_precision" in (ended.run / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_validation_batch_end"])
def test_an_interrupted_run_ends_with_the_same_bits(mylab: Command, monkeypatch: pytest.MonkeyPatch, hook: str) -> None:
    settings = (*MULTI, "metrics=full", "data.limit=600", "data.batch_size=20", "epochs=3", "logger=none")
    whole = mylab(*settings)
    signal_at(monkeypatch, hook, 1, 1, signal.SIGINT)
    stopped = mylab(*settings)
    assert stopped.code != 0
    resumed = mylab(f"resume={stopped.run}")
    assert resumed.code == 0, resumed.err
    assert same_weights(whole.run, resumed.run)
    assert without_times(whole.run) == without_times(resumed.run)
    name = "test_predictions.csv"
    assert (whole.run / name).read_bytes() == (resumed.run / name).read_bytes()
    assert metrics_of(whole.run)["thresholds"] == metrics_of(resumed.run)["thresholds"]


@pytest.mark.slow
def test_two_processes_choose_the_thresholds_of_one(mylab: Command, tmp_path: Path) -> None:
    settings = (*MULTI, "data.limit=333", "data.batch_size=50", "data.augment=[]", "epochs=3", "logger=none")
    one = metrics_of(mylab(*settings).run)
    common = ("callbacks=none", "trainer.precision=32")
    process = start("trainer=ddp", "trainer.accelerator=cpu", *common, *settings, cwd=tmp_path, project=PROJECT)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    two = metrics_of(tmp_path / out.strip().splitlines()[-1].removeprefix("run: "))
    assert two["thresholds"] == pytest.approx(one["thresholds"], abs=0.02)
    assert any(value != 0.5 for value in two["thresholds"].values())
    for name in ("f1_by_class", "average_precision_by_class"):
        assert two[f"test/{name}"] == pytest.approx(one[f"test/{name}"], abs=0.1)


def test_labels_of_several_classes_need_to_be_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TwoDigits, "multilabel", False)
    with pytest.raises(SettingError, match="multilabel = True"):
        TwoDigits(limit=20).setup()


def test_labels_of_one_class_are_refused_where_several_are_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Images(torch.full((4, 1, 16, 16), 200, dtype=torch.uint8), torch.arange(4))
    monkeypatch.setattr(TwoDigits, "read", lambda _: (one, one))
    with pytest.raises(SettingError, match=r"must have labels \[4, 10\], 0 or 1 for each image and class"):
        TwoDigits(val_seed=3, root="other").setup()

"""Temperature scaling: the fit, and what uses it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from labbook.cli.commands import evaluate, export, predict
from labbook.data.digits import Digits
from labbook.errors import SettingError
from labbook.inference import calibration
from labbook.inference.evaluate import output_files
from labbook.inference.evaluate.calibrate import CalibrationQuality, fit_temperature
from labbook.inference.export.writers import read_torch_export
from labbook.inference.trained_model import load_trained
from labbook.runs.resume import read_run_config
from labbook.training.label_tasks import MultiLabel
from tests.conftest import Command
from tests.models.conftest import spec_of


def test_the_temperature_is_the_one_that_the_labels_were_drawn_with() -> None:
    random = torch.Generator().manual_seed(0)
    true = 2 * torch.randn(20_000, 10, generator=random, dtype=torch.float64)
    labels = true.softmax(1).multinomial(1, generator=random)[:, 0]
    assert fit_temperature(3 * true, labels) == pytest.approx(3, rel=0.03)
    several = torch.rand(true.shape, generator=random) < true.sigmoid()
    assert fit_temperature(true / 2, several.double()) == pytest.approx(0.5, rel=0.03)
    before, after = (CalibrationQuality.of(3 * true / scale, labels, spec_of(1, 8)) for scale in (1, 3))
    assert after.calibration_error < 0.02 < 0.1 < before.calibration_error
    assert after.nll < before.nll


def test_without_errors_or_better_than_chance_there_is_no_temperature() -> None:
    logits, labels = torch.eye(10).double() * 5, torch.arange(10)
    with pytest.raises(SettingError, match="all 10 are classified correctly"):
        fit_temperature(logits, labels)
    with pytest.raises(SettingError, match="better than chance"):
        fit_temperature(logits, labels.roll(1))


def test_thresholds_choose_the_same_classes() -> None:
    logits, task = torch.randn(50, 3), MultiLabel(3)
    task.thresholds = torch.tensor([0.1, 0.5, 0.8])
    before = logits.sigmoid() > task.thresholds
    task.scale_thresholds(2.5)
    assert ((logits / 2.5).sigmoid() > task.thresholds).equal(before)


def test_predict_uses_it_until_it_is_deleted(
    trained: Callable[..., Path], script: Callable[[ModuleType], Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_files, "evaluation_plots", lambda *_: {})
    run = trained("model=mlp", "debug=fast", "callbacks=none")
    config, pixels = read_run_config(run), Digits(image_size=28).load()[1].pixels[:5]
    plain = load_trained(run, config, None, "predict").logits(pixels)
    ended = script(evaluate)(run, "--calibrate", "trainer.accelerator=cpu")
    assert ended.code == 0, ended.err
    kept = json.loads((run / calibration.FILE).read_text())
    scale = kept["temperature"]
    assert f"temperature {scale:.4f} (fitted to {kept['images']:,} validation images)\n" in ended.out
    assert kept["test"]["after"].keys() == kept["test"]["before"].keys() == {"calibration_error", "nll"}
    network = load_trained(run, config, None, "predict")
    torch.testing.assert_close(network.logits(pixels), plain / scale)
    note = f"note: probabilities are calibrated with the temperature {scale:.4g} in {run}"
    assert note in script(predict)(run, "--test-index", "0").err

    (run / calibration.FILE).write_text(json.dumps(kept | {"epoch": 7}))  # of other weights
    assert load_trained(run, config, None, "predict").temperature == 1
    assert "is for the weights of epoch 7, so it is not used here" in calibration.calibration_notes(run, 1)[0]
    (run / calibration.FILE).write_text('{"temperature": -1, "epoch": 1}')
    with pytest.raises(SettingError, match=r"calibration\.json is damaged: write it again"):
        load_trained(run, config, None, "predict")
    (run / calibration.FILE).unlink()
    assert load_trained(run, config, None, "predict").logits(pixels).equal(plain)


@pytest.mark.slow
def test_an_export_uses_it(trained: Callable[..., Path], script: Callable[[ModuleType], Command]) -> None:
    run = trained("model=mlp", "debug=fast", "callbacks=none")
    assert script(evaluate)(run, "--calibrate", "trainer.accelerator=cpu").code == 0
    network = load_trained(run, read_run_config(run), None, "predict")
    pixels = Digits(image_size=28).load()[1].pixels[:5]
    assert network.temperature != 1
    assert (
        "note: probabilities are calibrated with the temperature" in script(export)(run, "--format", "torch_export").err
    )
    logits, probabilities = read_torch_export(run / "model.pt2")(pixels)
    torch.testing.assert_close(logits, network.logits(pixels), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(probabilities, network.probabilities(pixels), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "given", "sentence"),
    [
        ([], ["--split", "val"], "--calibrate is fitted to validation images and measured on the test: leave out"),
        ([], ["data=mnist"], "--calibrate is for the run as it is: leave out data=mnist"),
        ([], ["task.tta=mirror"], "--calibrate is for the run as it is: leave out task.tta=mirror"),
        (["data.validation=test"], [], "--calibrate needs validation images, and this run validates on the test set"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    trained: Callable[..., Path],
    script: Callable[[ModuleType], Command],
    settings: list[str],
    given: list[str],
    sentence: str,
) -> None:
    run = trained("model=mlp", "debug=fast", *settings, "callbacks=none")
    assert script(evaluate)(run, "--calibrate", *given).sentence.startswith(sentence)
    assert not (run / calibration.FILE).exists()

"""`data.batch_size=auto`: the rules, what a run keeps of it, and what refuses it."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from labbook import fit
from labbook.cli.commands import evaluate
from labbook.config.schema import with_schema_types
from labbook.errors import SettingError
from labbook.runs.resume import read_run_config
from labbook.runs.run_id import run_id
from labbook.training import batch_size, hardware
from labbook.training.batch_size import StepMemory, largest_without_error, most_images, power_of_two
from tests.composing import composed
from tests.conftest import Command

QUICK = ("model=mlp", "data.limit=400", "epochs=1", "trainer=cpu", "trainer.precision=32", "logger=none",
         "callbacks=none")  # fmt: skip


def test_the_size_is_doubled_until_memory_is_out() -> None:
    tried = []

    def trial(size: int) -> None:
        tried.append(size)
        if size > 300:
            raise torch.OutOfMemoryError

    assert largest_without_error(trial, 8, 2**16) == (256, True)
    assert tried == [16, 32, 64, 128, 256, 512]
    assert largest_without_error(trial, 8, 100) == (64, False)
    assert largest_without_error(trial, 8, 4) == (4, False)


def test_an_epoch_keeps_ten_steps() -> None:
    assert [power_of_two(limit) for limit in (0.5, 1, 3, 4, 1023)] == [1, 1, 2, 4, 512]
    assert [most_images(54_000, 1), most_images(54_000, 4), most_images(None, 1)] == [4096, 1024, 2**16]


def test_the_memory_of_a_step_is_what_backward_needs() -> None:
    layers, totals = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 10)), []
    for images in (8, 16):
        with (memory := StepMemory()).hooks():
            layers(torch.rand(images, 100, requires_grad=True))
        totals.append(memory.total)
    assert totals[1] - totals[0] == 8 * 4 * (100 + 50)  # the input and the output of ReLU


@pytest.mark.slow
def test_on_a_gpu_steps_are_trained_until_memory_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, fit_steps = [], fit.fit_steps

    def on_gpu(config: object, made: fit.Prepared, count: int, *callbacks: object) -> object:
        steps.append(size := made.data.batch_size)  # type: ignore[attr-defined]
        if size > 16:
            raise torch.OutOfMemoryError
        return fit_steps(config, made._replace(choice=cpu), 1, *callbacks)  # type: ignore[arg-type]

    config = composed(*QUICK, "data.batch_size=auto")
    cpu = hardware.DeviceChoice("cpu", "32-true", False, "")
    monkeypatch.setattr(fit, "fit_steps", on_gpu)
    monkeypatch.setattr(hardware, "check_devices", lambda *_: None)
    monkeypatch.setattr(hardware, "choose_for_run", lambda *_: hardware.DeviceChoice("gpu", "32-true", False, ""))
    fit.set_batch_size(config)
    assert (config.data.batch_size, steps) == (16, [8, 16, 32])


def test_a_run_is_that_of_the_number(labbook: Command, capsys: pytest.CaptureFixture[str]) -> None:
    found = labbook(*QUICK, "data.batch_size=auto")
    assert found.code == 0, found.err
    assert found.out.startswith("batch size: 32 (the largest power of two with 10 or more steps per epoch; 0.00 of ")
    config = read_run_config(found.run)
    assert config.data.batch_size == 32
    plain = labbook(*QUICK, "data.batch_size=32")
    same = read_run_config(plain.run)
    assert run_id(with_schema_types(config, "")) == run_id(with_schema_types(same, ""))
    first, second = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (found.run, plain.run))
    assert all(first["state_dict"][name].equal(value) for name, value in second["state_dict"].items())
    again = labbook(f"resume={found.run}", "epochs=2", "data.batch_size=auto")
    assert "was started with data.batch_size=32" in again.sentence


@pytest.mark.slow
def test_little_memory_makes_it_smaller(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(batch_size, "machine_memory", lambda: 3_600_000)
    config = composed(*QUICK, "data.batch_size=auto")
    fit.set_batch_size(config)
    assert config.data.batch_size < 32
    assert "the largest power of two that fits into 0.0 GiB, half of the memory" in capsys.readouterr().out
    monkeypatch.setattr(batch_size, "machine_memory", lambda: 1_000)
    with pytest.raises(SettingError, match="not even a few images fit into memory"):
        fit.set_batch_size(composed(*QUICK, "data.batch_size=auto"))


def test_what_cannot_have_it_says_so(
    labbook: Command, trained: Callable[..., Path], script: Callable[[ModuleType], Command]
) -> None:
    sweep = labbook("-m", *QUICK, "data.batch_size=auto", "seed=1,2")
    assert sweep.sentence.startswith("data.batch_size=auto is not for sweeps")
    assert "data.batch_size=N" in sweep.sentence
    several = labbook(*QUICK, "data.batch_size=auto", "trainer.devices=2")
    assert several.sentence == "data.batch_size=auto tries one device: use trainer.devices=1, or data.batch_size=N"
    run = trained("model=mlp", "debug=fast", "callbacks=none")
    assert "use a number" in script(evaluate)(run, "data.batch_size=auto").sentence
    assert "must be a whole number" in labbook(*QUICK, "data.batch_size=largest").sentence

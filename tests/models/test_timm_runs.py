"""Runs of timm's networks: resumed to the same bits, and exported."""

import signal
from collections.abc import Callable
from types import ModuleType

import pytest

pytest.importorskip("timm", reason="needs the extra: make setup EXTRAS=timm")

from labbook.cli.commands import export
from tests.conftest import Command
from tests.models.test_timm import ALL, SMALL
from tests.runs.test_killed import same_in_all
from tests.runs.test_resume import signal_at

pytestmark = pytest.mark.extra


def of_family(name: str, size: int) -> list[str]:
    options = ["model.options={drop_path_rate: 0.2}"] if name == "test_vit" else []
    return [*SMALL, f"model.name={name}", f"data.image_size={size}", *options, "callbacks=none"]


@pytest.mark.parametrize(
    ("name", "size"), [("test_vit", 32), *(pytest.param(*item, marks=pytest.mark.slow) for item in ALL[1:])]
)
def test_a_run_resumes_to_the_same_bits(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    optimizer = ["optimizer._target_=timm.optim.Lion", "~optimizer.eps", "task.layer_lr_decay=0.8"]
    cosine = ["scheduler._target_=timm.scheduler.CosineLRScheduler", "~scheduler.interval", "~scheduler.warmup_epochs"]
    warmup = ["+scheduler.t_initial=10", "+scheduler.warmup_t=3", "+scheduler.t_in_epochs=false"]
    command = [*of_family(name, size), *optimizer, *cosine, *warmup, "epochs=2"]
    whole = labbook(*command)
    assert whole.code == 0, whole.err
    signal_at(monkeypatch, "on_train_batch_end", 1, 2, signal.SIGINT)
    stopped = labbook(*command)
    assert stopped.code == 130, stopped.err
    assert labbook(f"resume={stopped.run}").code == 0
    same_in_all(whole.run, stopped.run)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), ALL)
def test_networks_are_exported(labbook: Command, script: Callable[[ModuleType], Command], name: str, size: int) -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package, reason="needs the extra: make setup EXTRAS=export")
    run = labbook(*of_family(name, size), "epochs=1").run
    ended = script(export)(str(run), "--format", "onnx")
    assert (ended.code, ended.err) == (0, "")

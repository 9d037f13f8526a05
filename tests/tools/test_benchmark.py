"""The benchmark's contestants train the same thing, and its table says so."""

import importlib
import runpy
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytorch_lightning
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn

from labbook.callbacks.epoch_recorder import EpochRecorder
from labbook.config import schema
from labbook.errors import SettingError
from labbook.models.mlp import MLP
from labbook.runs.provenance import code_version
from labbook.sweeps import grid_sweeper
from labbook.training.hardware import DeviceChoice, Machine
from labbook.training.threads import computing_with
from tests.conftest import Command
from tools.benchmark import (
    hydra_template,
    image_folder,
    photograph_loaders,
    plain_loop,
    report,
    step_profile,
    timing,
)
from tools.benchmark.cases import CASES, Case, prepared
from tools.benchmark.contenders import CONTESTANTS
from tools.benchmark.plain_loop import Form, plain
from tools.benchmark.sections import Section

TEMPLATE = """
import torch
from lightning import LightningModule

class MNISTLitModule(LightningModule):
    def __init__(self, net, optimizer, scheduler, compile):
        super().__init__()
        self.net, self.make = net, optimizer

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return self.make(params=self.parameters())
"""


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_way_to_train_takes_time_and_leaves_nothing(
    tiny: Case, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert 0 < CONTESTANTS[name](tiny, "32") < 60
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_every_case_composes_with_the_images_it_trains_on(each: Case) -> None:
    schema.register_schema()
    grid_sweeper.register_sweepers()
    composed = each.composed()
    assert composed.data.images == (each.steps + 1) * each.batch_size == (each.steps + 1) * composed.data.batch_size
    assert each.epoch >= each.steps


def test_a_case_trains_on_all_its_images(tiny: Case) -> None:
    _, data, _ = prepared(tiny.composed())
    assert len(data.train_dataloader()) == tiny.steps + 1


@pytest.mark.slow
def test_the_hydra_template_trains_with_its_own_module(tiny: Case, tmp_path: Path) -> None:
    file = tmp_path / hydra_template.MODULE
    file.parent.mkdir(parents=True)
    file.write_text(TEMPLATE)
    assert 0 < hydra_template.contestant(tmp_path)(tiny, "32") < 60
    assert sys.modules.pop("lightning") is pytorch_lightning
    with pytest.raises(
        SettingError, match=r"^--template=elsewhere must be a clone of the Lightning-Hydra-Template: it has no"
    ):
        hydra_template.contestant(Path("elsewhere"))


def test_contestants_take_turns_and_the_first_round_does_not_count(tiny: Case) -> None:
    order: list[str] = []

    def train(name: str, seconds: float) -> timing.Contestant:
        def contestant(_: Case, __: str) -> float:
            order.append(name)
            return seconds + 100 * (len(order) <= 2)

        return contestant

    found = timing.timed(tiny, {"Labbook": train("Labbook", 3.0), timing.LIMIT: train(timing.LIMIT, 2.0)}, 2, "32")
    assert order == ["Labbook", timing.LIMIT] * 3
    assert [each.seconds for each in found] == [(3.0, 3.0), (2.0, 2.0)]
    ours, limit = timing.lines(tiny, found, Form(threads=1))
    assert ours == ("tiny", "Labbook", "3", "1.50", "1.50 to 1.50")
    assert limit[1] == "fastest plain loop (32 bits, channels last, fused, 1 thread)"


@pytest.mark.slow
def test_what_ends_an_epoch_counts_by_its_part(tiny: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    record = EpochRecorder.record

    def slowly(self: EpochRecorder, trainer: Trainer, model: LightningModule) -> None:
        time.sleep(0.6)
        record(self, trainer, model)

    monkeypatch.setattr(EpochRecorder, "record", slowly)
    assert 0.6 / tiny.epoch <= CONTESTANTS["Labbook"](tiny, "32") < 0.6 / tiny.steps


def test_the_time_of_a_part_within_another_counts_once() -> None:
    profiler = step_profile.ByPart()
    with profiler.profile("[LightningModule]MLP.optimizer_step"):
        time.sleep(0.05)
        with profiler.profile("[Strategy]SingleDeviceStrategy.backward"), profiler.profile("[Callback]X.on_fit_start"):
            time.sleep(0.1)
    profiler.start("[_TrainingEpochLoop].train_dataloader_next")
    time.sleep(0.02)
    profiler.stop("[_TrainingEpochLoop].train_dataloader_next")
    time.sleep(0.2)
    assert profiler.seconds.keys() == {"optimizer", "backward", "data"}
    for part, least in {"optimizer": 0.05, "backward": 0.1, "data": 0.02}.items():
        assert least <= profiler.seconds[part] < least + 0.04


@pytest.mark.slow
def test_every_part_of_a_step_takes_its_time(tiny: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = MLP.forward
    monkeypatch.setattr(MLP, "forward", lambda self, images: time.sleep(0.05) or forward(self, images))
    found = step_profile.profiled(tiny, "32")
    assert all(found[part] > 0 for part in step_profile.COLUMNS)
    assert max(found, key=lambda part: found[part]) == "forward"
    (row,) = step_profile.section([tiny], 1, "32").rows
    assert len(row) == 2 + len(step_profile.COLUMNS)


def timed_by(seconds: Callable[[Form], float], monkeypatch: pytest.MonkeyPatch, bf16: bool) -> list[Form]:
    """Replace the plain loop, on a machine with or without bf16; returns the list of forms that it is asked for."""
    asked: list[Form] = []

    def plain(case: Case, form: Form, steps: int | None = None) -> float:
        asked.append(form)
        return seconds(form)

    monkeypatch.setattr(plain_loop, "plain", plain)
    monkeypatch.setattr(plain_loop.hardware, "describe_machine", lambda: Machine(cpu_bf16=bf16))
    return asked


@pytest.mark.parametrize(
    "best",
    [
        Form(),
        Form("bf16-mixed", channels_last=False),
        Form(fused=False, threads=1),
        Form("bf16-mixed", threads=1, compiled=True),
    ],
    ids=str,
)
def test_the_fastest_form_of_the_plain_loop_is_found(tiny: Case, best: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    def differences(form: Form) -> float:
        return 1.0 + sum(getattr(form, item.name) != getattr(best, item.name) for item in fields(Form))

    asked = timed_by(differences, monkeypatch, bf16=True)
    assert plain_loop.fastest(tiny) == best
    assert sum(form.compiled for form in asked) == plain_loop.TRIALS  # of the best form only
    assert len(set(asked)) == 2**4 + 1
    asked = timed_by(differences, monkeypatch, bf16=False)
    assert plain_loop.fastest(tiny) == replace(best, precision="32-true")
    assert {form.precision for form in asked} == {"32-true"}


def test_every_choice_is_held_against_its_opposite(tiny: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Form(threads=1)  # the case has few multiply-adds

    def seconds(form: Form) -> float:
        if form.compiled:
            return 0.5
        slower = {"precision": 1.5, "channels_last": 3.0, "fused": 2.0, "threads": 1.25}
        return next((s for name, s in slower.items() if getattr(form, name) != getattr(chosen, name)), 1.0)

    monkeypatch.setattr(plain_loop, "chosen", lambda case, precision: chosen)
    timed_by(seconds, monkeypatch, bf16=True)
    table = plain_loop.choices([tiny], 1, "32")
    assert table.columns[3:] == ("other precision", "other layout", "not fused", "other threads", "compiled")
    assert table.rows[0][2:] == ("1000.00", "1.50", "3.00", "2.00", "1.25", "0.50")
    timed_by(seconds, monkeypatch, bf16=False)
    assert plain_loop.choices([tiny], 1, "32").rows[0][3] == ""  # it takes forty times as long


def test_the_choice_of_labbook_is_a_form(tiny: Case) -> None:
    with computing_with(2):
        found = plain_loop.chosen(tiny, "32")
        assert 0 < plain(tiny, found) < 60
        assert torch.get_num_threads() == 2
    assert found.precision == "32-true"


@pytest.mark.slow
def test_a_compiled_network_is_timed(tiny: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[nn.Module] = []

    def compiled(call: Any) -> Any:  # all that torch does but its C++, which takes half a minute
        asked.append(call.__self__)
        return plain(call, backend="aot_eager")

    plain = torch.compile
    monkeypatch.setattr(torch, "compile", compiled)
    assert 0 < plain(tiny, Form(compiled=True)) < 60
    assert [type(model) for model in asked] == [MLP]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # timm leaves its files open
def test_photographs_are_timed_from_file_to_step(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in {"SIZE": 179, "BATCH": 2, "SHOT": (80, 60)}.items():
        monkeypatch.setattr(image_folder, name, small)
    decoding, making = image_folder.building(1, count=8).rows
    assert decoding[2] == "1.00"
    assert float(making[2]) > 0
    rows = image_folder.second_epoch("32", steps=1).rows
    assert [float(row[1].replace(",", "")) > 0 for row in rows] == [True] * 3
    for name, small in {"SIZE": 32, "BATCH": 2, "WORKERS": 0, "STEPS": 1}.items():
        monkeypatch.setattr(photograph_loaders, name, small)
    for row in photograph_loaders.section(1, count=4).rows:
        assert all(float(figure.replace(",", "")) > 0 for figure in row[1:] if figure)
    loaders = photograph_loaders.training(1).rows
    assert [row[0] for row in loaders][:2] == ["Labbook", "torchvision"]
    assert all(0 <= float(share.rstrip("%")) < 100 for *_, share in loaders)


def test_the_report_is_a_table_with_its_conditions() -> None:
    section = Section("Speed", ("case", "s"), [("one", "1.0"), ("two", "2.0")], "Medians.")
    table = "| case | s |\n| --- | --- |\n| one | 1.0 |\n| two | 2.0 |"
    assert (
        report.markdown([section], "a machine")
        == f"# Speed measurements\n\na machine\n\n## Speed\n\n{table}\n\nMedians.\n"
    )
    about = report.conditions(DeviceChoice("cpu", "32-true", False, "a CPU"), 0.3, "make")
    assert f"Labbook {code_version()}, Python" in about
    assert "; load 0.3 before. Timings" in about


def test_a_busy_machine_is_refused_or_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.4, 5, 5), raising=False)
    assert report.check_load(accepted=False) == 0.4
    monkeypatch.setattr("os.getloadavg", lambda: (1.26, 0, 0), raising=False)
    with pytest.raises(
        SettingError, match=r"^the load of this machine is 1\.3, and above 0\.5 figures depend on other"
    ):
        report.check_load(accepted=False)
    load = report.check_load(accepted=True)
    about = report.conditions(DeviceChoice("cpu", "32-true", False, "a CPU"), load, "make")
    assert "; load 1.3 before, other programs were running." in about


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "no case is named so; they are: LeNet-5, batch 64;"),
        (["--repetitions", "0"], "--repetitions must be at least 1"),
        (["--sections", "trainning"], "--sections=trainning is unknown; did you mean training?"),
        (["--precision", "8"], "trainer.precision=8 is unknown;"),
    ],
)
def test_a_wrong_argument_is_refused(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tools/measure_speed.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("tools/measure_speed.py", run_name="__main__")
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith(f"error: {sentence}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("tool", ["measure_speed", "stress_test"])
def test_another_system_is_refused(
    tool: str, script: Callable[[ModuleType], Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    ended = script(importlib.import_module(f"tools.{tool}"))()
    assert ended.code == 2
    assert ended.sentence.startswith(f"{tool}.py works only on Linux")

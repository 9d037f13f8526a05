"""The benchmark's contestants train the same thing, and its table says so."""

import runpy
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn

from labbook.callbacks.epoch_recorder import EpochRecorder
from labbook.config import schema
from labbook.models.mlp import MLP
from labbook.runs.provenance import code_version
from labbook.sweeps import grid_sweeper
from labbook.training.hardware import DeviceChoice, Machine
from tools.benchmark import defaults, image_folder, report, step_profile, timing
from tools.benchmark.cases import CASES, Case, case
from tools.benchmark.contenders import CONTESTANTS, bare, prepared
from tools.benchmark.sections import Section


@pytest.fixture
def tiny() -> Case:
    schema.register_schema()
    grid_sweeper.register_sweepers()
    return case("tiny", "mlp", 8, 8, 1, 3, 10, "model.width=4")


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


def test_contestants_take_turns_and_the_first_round_does_not_count(tiny: Case) -> None:
    order: list[str] = []

    def train(name: str, seconds: float) -> timing.Contestant:
        def contestant(_: Case, __: str) -> float:
            order.append(name)
            return seconds + 100 * (len(order) <= 2)

        return contestant

    found = timing.timed(tiny, {"ours": train("ours", 3.0), "bare loop": train("bare loop", 2.0)}, 2, "32")
    assert order == ["ours", "bare loop"] * 3
    assert [each.seconds for each in found] == [(3.0, 3.0), (2.0, 2.0)]
    assert timing.lines(tiny, found)[0] == ("tiny", "ours", "3", "1.50", "1.50 to 1.50")


def test_what_ends_an_epoch_counts_by_its_part(tiny: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    record = EpochRecorder.record

    def slowly(self: EpochRecorder, trainer: Trainer, model: LightningModule) -> None:
        time.sleep(2)
        record(self, trainer, model)

    monkeypatch.setattr(EpochRecorder, "record", slowly)
    assert 2 / tiny.epoch <= CONTESTANTS["ours"](tiny, "32") < 2 / tiny.steps


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


def test_every_choice_is_held_against_its_opposite(tiny: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"fused": 2.0, "channels_last": 3.0, "compiled": 0.5}
    threads: list[int] = []

    def bare(case: Case, precision: str, **otherwise: Any) -> float:
        threads.append(torch.get_num_threads())
        return 1.5 if precision == "bf16-mixed" else seconds.get(next(iter(otherwise), ""), 1.0)

    monkeypatch.setattr(defaults, "bare", bare)
    monkeypatch.setattr(defaults.hardware, "describe_machine", lambda: Machine(cpu_bf16=True))
    with defaults.threads(2):
        table = defaults.section([tiny], 1, "32")
    assert table.columns[2:] == ("bf16", "channels first", "not fused", "one thread", "compiled")
    assert table.rows == [("tiny", "1000.00", "1.50", "3.00", "2.00", "1.00", "0.50")]
    assert sorted(set(threads)) == [1, 2]
    monkeypatch.setattr(defaults.hardware, "describe_machine", lambda: Machine(cpu_bf16=False))
    assert "bf16" not in defaults.others("32")


@pytest.mark.slow
def test_a_compiled_network_is_timed(tiny: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[nn.Module] = []

    def compiled(call: Any) -> Any:  # all that torch does but its C++, which takes half a minute
        asked.append(call.__self__)
        return plain(call, backend="aot_eager")

    plain = torch.compile
    monkeypatch.setattr(torch, "compile", compiled)
    assert 0 < bare(tiny, "32", compiled=True) < 60
    assert [type(model) for model in asked] == [MLP]


@pytest.mark.slow
def test_photographs_are_timed_from_file_to_step(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in {"SIZE": 179, "BATCH": 2, "SHOT": (80, 60)}.items():
        monkeypatch.setattr(image_folder, name, small)
    decoding, making = image_folder.building(1, count=8).rows
    assert decoding[2] == "1.00"
    assert float(making[2]) > 0
    rows = image_folder.second_epoch("32", steps=1).rows
    assert [float(row[1].replace(",", "")) > 0 for row in rows] == [True] * 3


def test_the_report_is_a_table_with_its_conditions() -> None:
    section = Section("Speed", ("case", "s"), [("one", "1.0"), ("two", "2.0")], "Medians.")
    table = "| case | s |\n| --- | --- |\n| one | 1.0 |\n| two | 2.0 |"
    assert (
        report.markdown([section], "a machine")
        == f"# Speed measurements\n\na machine\n\n## Speed\n\n{table}\n\nMedians.\n"
    )
    assert f"Labbook {code_version()}, Python" in report.conditions(
        DeviceChoice("cpu", "32-true", False, "a CPU"), "make"
    )


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

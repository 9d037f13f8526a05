"""A run that version 0.1 began, stopped in the second of two epochs, is resumed and read by this version."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from labbook.runs.sweep_folder import MANIFEST
from scripts import evaluate, predict, report
from tests.conftest import Command
from tests.test_train import metrics_of, rows_of

STORED = Path(__file__).with_name("run_of_0_1")
# What version 0.1 came to without a stop. Metrics of epochs were float32 then; other CPUs round other sums.
EPOCH = {"train/acc": 0.125, "train/loss": 2.273800849914551, "val/acc": 0.125, "val/loss": 2.285186767578125}
TESTED = {"test/acc": 28 / 360, "test/loss": 2.2732549720340307, "objective": 0.125, "tested_epoch": 2}


def test_a_run_of_version_0_1_is_resumed_and_read(
    labbook: Command, script: Callable[[ModuleType], Command], tmp_path: Path, undrawn: None
) -> None:
    sweep = tmp_path / "sweep"
    run = sweep / "run"
    shutil.copytree(STORED, run)
    (sweep / MANIFEST).write_text(json.dumps({"made_by": "labbook"}))
    ended = labbook(f"resume={run}")
    assert ended.code == 0, ended.err
    assert "resuming from epoch 2, step 8" in ended.out
    first, second = rows_of(run)
    with (STORED / "metrics.csv").open(newline="") as file:
        assert [first] == list(csv.DictReader(file))
    assert {name: float(second[name]) for name in EPOCH} == pytest.approx(EPOCH, rel=1e-5)
    assert second["train/top5_acc"] == repr(207 / 360)
    assert {name: metrics_of(run)[name] for name in TESTED} == pytest.approx(TESTED, rel=1e-5)
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    assert set(state) == set(torch.load(STORED / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"])

    again = script(evaluate)(str(run))
    assert again.code == 0, again.err
    assert "acc 0.0778" in again.out
    said = script(predict)(str(run), "--test-index", "3")
    assert said.code == 0, said.err
    table = script(report)(str(sweep))
    assert table.code == 0, table.err
    assert "0.0778" in table.out

"""Runs of modules and loaders of a user's own: killed at any moment, in several processes, stopped early, searched."""

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from labbook import files
from labbook.callbacks.checkpoints import RunCheckpoints
from labbook.callbacks.epoch_end import EpochEnd
from labbook.callbacks.epoch_recorder import EpochRecorder
from labbook.inference.evaluate import final_test
from labbook.training import checkpoint_io
from tests.conftest import Command
from tests.own.conftest import PROJECT
from tests.runs.test_killed import equal, killed_at
from tests.test_processes import start
from tests.test_train import metrics_of, rows_of, without_times

# What is about to be called, and for which time, when the run is killed; there are 2 or 4 steps in an epoch.
MOMENTS: dict[str, tuple[Any, str, int]] = {
    "before the first step": (EpochEnd, "on_train_start", 1),
    "in an epoch": (EpochEnd, "on_train_batch_end", 3),
    "in the validation": (EpochEnd, "on_validation_batch_end", 3),
    "before the row of an epoch": (EpochRecorder, "record", 2),
    "between row and checkpoint": (RunCheckpoints, "save_epoch", 2),
    "while a checkpoint is written": (checkpoint_io, "add_checksum", 4),
    "as soon as it has its name": (files, "flush_folder", 4),
    "in the test": (final_test, "logged_in_test", 1),
}
QUICK = ("epochs=3", "logger=none", "callbacks=none", "checkpoint.every_minutes=1e-9")
REGRESSION = ("model=regression", "objective=val/mse")


def weights_and_counters(run: Path) -> list[Any]:
    """What the last checkpoint of a run holds but for counters, rows and times."""
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return [content[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "random")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        (*REGRESSION, "data=numbers"),
        (*REGRESSION, "data=resumable_numbers"),
        ("model=two_optimizers", "data=several_loaders", "objective=val/mae"),
        ("model=gan", "data=digits", "data.limit=100", "data.batch_size=40", "objective=g_loss"),
    ],
    ids=lambda settings: settings[0],
)
def test_a_run_killed_at_any_moment_ends_with_the_same_weights(
    settings: tuple[str, ...], mylab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed_at(tmp_path, monkeypatch, MOMENTS) as left:
        whole = mylab(*settings, *QUICK)
    assert whole.code == 0, whole.err
    lacks = {"model=gan": {"in the validation", "in the test"}}
    assert MOMENTS.keys() - left.keys() == lacks.get(settings[0], set())
    for moment, run in left.items():
        resumed = mylab(f"resume={run}")
        assert resumed.code == 0, moment + resumed.err
        assert equal(weights_and_counters(whole.run), weights_and_counters(resumed.run)), moment
        assert [row["epoch"] for row in rows_of(resumed.run)] == ["1", "2", "3"]
        tested = [name for name in metrics_of(whole.run) if name.startswith("test/") or name == "objective"]
        assert [metrics_of(resumed.run)[name] for name in tested] == [metrics_of(whole.run)[name] for name in tested]
        assert without_times(resumed.run) == without_times(whole.run), moment


@pytest.mark.slow
@pytest.mark.parametrize("model", ["regression", "disagreeing"])
def test_loaders_of_ones_own_are_split_among_processes(mylab: Command, tmp_path: Path, model: str) -> None:
    objective = {"regression": "val/mse", "disagreeing": "val/score"}[model]
    target = f"model._target_=mylab.models.{model}.{model.title()}"
    settings = ("model=regression", target, "data=numbers", f"objective={objective}", "epochs=3", "logger=lines")
    process = start(
        "trainer=ddp", "trainer.accelerator=cpu", "trainer.precision=32", "callbacks=none", *settings,
        cwd=tmp_path, project=PROJECT,
    )  # fmt: skip
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert out.count("run: ") == 1
    run = tmp_path / out.strip().splitlines()[-1].removeprefix("run: ")
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # 32 rows in batches of 16 are a step in each of two processes, by Lightning's DistributedSampler.
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "1"), ("2", "2"), ("3", "3")]
    assert len((run / "lines.jsonl").read_text().splitlines()) >= 3
    assert (run / "lines.jsonl").read_text().count('"epoch": 2,') == 1
    metrics = metrics_of(run)
    assert metrics["status"] == "finished"
    if model == "disagreeing":
        assert metrics["tested_epoch"] == 3  # by the first process
    epochs = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]["Recorder"]["rows"]
    assert [row["images"] for row in epochs] == [32, 32, 32]
    process = start(f"resume={run}", "trainer.devices=1", "epochs=4", cwd=tmp_path, project=PROJECT)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 2
    assert "each process had 1 batches in an epoch and now has 2: resume the run with the same data and" in err


@pytest.mark.slow
def test_an_objective_of_ones_own_stops_early(mylab: Command) -> None:
    common = ("data=numbers", "logger=none", "callbacks=early_stopping", "callbacks.early_stopping.monitor=val/r2")
    stopping = ("objective=val/r2", "callbacks.early_stopping.patience=1", "epochs=9")
    falling = mylab("model=regression", *common, *stopping, "objective_mode=min", "optimizer.lr=0.01")
    assert falling.code == 0, falling.err
    assert "objective=val/r2: the " not in falling.out  # the direction was given
    values = [float(row["val/r2"]) for row in rows_of(falling.run)]
    assert len(values) == 2  # r2 rises from the first epoch on
    assert values[0] < values[1]
    assert metrics_of(falling.run)["tested_epoch"] == 1
    rising = mylab("model=regression", *common, *stopping, "optimizer.lr=0.01")
    assert "objective=val/r2: the larger the better, by its name (else objective_mode=min)" in rising.out
    assert len(rows_of(rising.run)) > 2


@pytest.mark.extra
@pytest.mark.slow
@pytest.mark.skipif(find_spec("optuna") is None, reason="the extra optuna is not installed")
def test_a_search_minimises_a_metric_of_ones_own(mylab: Command) -> None:
    import optuna

    search = ("hydra/sweeper=optuna", "model.hidden=choice(2,8)", "sweep.n_trials=3", "sweep.prune=false")
    common = ("data=numbers", "objective=val/r2", "objective_mode=min", "logger=none", "callbacks=none", "epochs=2")
    ended = mylab("-m", "model=regression", *common, *search, "sweep.name=searched")
    assert ended.code == 0, ended.err
    study = optuna.load_study(study_name="labbook", storage=f"sqlite:///{ended.run}/study.db")
    assert study.direction is optuna.study.StudyDirection.MINIMIZE
    runs = {path.parent.name: metrics_of(path.parent)["objective"] for path in ended.run.glob("*/metrics.json")}
    assert {trial.value for trial in study.get_trials()} == {*runs.values()}
    assert f"best run: {ended.run}/{min(runs, key=lambda name: runs[name])}" in ended.out

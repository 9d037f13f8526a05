"""TensorBoard's table of hyper-parameters over a sweep, through TensorBoard's own backend."""

import signal
import warnings
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from werkzeug.test import Client

from labbook.loggers import TensorBoard, write_summary
from tests.conftest import Command
from tests.runs.test_resume import signal_at
from tests.sweeps.running import LONGER, done, runs_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # what it imports is old
    from tensorboard.plugins.hparams.hparams_plugin import HParamsPlugin

SWEEP = (*LONGER, "logger=tensorboard", "epochs=2", "optimizer.lr=0.001,0.01", "model.width=4,8")
FIGURES = {"test/acc": "acc/test", "test/loss": "loss/test", "objective": "objective"}


def test_what_differs_comes_first_and_of_it_the_choices(tmp_path: Path) -> None:
    for number, (model, augment) in enumerate((("mlp", "[]"), ("lenet5", "[flip]"))):
        chosen = {
            "config_groups": {"model": model, "data": "digits"},
            "data": {"augment": augment},
            "model": {"width": 4},
        }
        logger = TensorBoard(str(tmp_path / str(number)))
        logger.log_metrics(dict.fromkeys(("train/acc", "train/loss", "val/acc", "val/loss", "lr"), 0.25), 1)
        metrics = {"test/acc": 0.5, "test/loss": 1.0, "val/acc": 0.75, "train_seconds": 3.0, "objective": 0.75}
        write_summary([logger], OmegaConf.create(chosen), metrics, 1)
        logger.close()
    events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    provider = MultiplexerDataProvider(events, str(tmp_path))
    routes = HParamsPlugin(TBContext(logdir=str(tmp_path), data_provider=provider)).get_plugin_apps()
    experiment = Client(routes["/experiment"]).post(json={"experimentName": ""}).json
    assert experiment is not None
    assert [item["name"] for item in experiment["hparamInfos"]] == ["Model", "data.augment", "Data", "model.width"]
    shown = [item["name"]["tag"] for item in experiment["metricInfos"]][:5]  # at first
    assert shown == ["acc/test", "acc/train", "acc/val", "loss/test", "loss/train"]


def table_of(folder: Path) -> list[dict[str, Any]]:
    """What the page HPARAMS shows: for each run its name, settings and figures."""
    events = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    provider = MultiplexerDataProvider(events, str(folder))
    routes = HParamsPlugin(TBContext(logdir=str(folder), data_provider=provider)).get_plugin_apps()
    experiment = Client(routes["/experiment"]).post(json={"experimentName": ""}).json
    assert experiment is not None
    asked = {
        "experimentName": "",
        "allowedStatuses": [f"STATUS_{name}" for name in ("UNKNOWN", "SUCCESS", "FAILURE", "RUNNING")],
        "colParams": [{"metric": item["name"]} for item in experiment["metricInfos"]]
        + [{"hparam": item["name"]} for item in experiment["hparamInfos"]],
        "startIndex": 0,
        "sliceSize": 100,
    }
    answer = Client(routes["/session_groups"]).post(json=asked).json
    assert answer is not None
    return [
        {
            "run": session["name"].removesuffix("/."),
            "settings": group["hparams"],
            "figures": {item["name"]["tag"]: item["value"] for item in session.get("metricValues", [])},
        }
        for group in answer["sessionGroups"]
        for session in group["sessions"]
    ]


def check(sweep: Path, table: list[dict[str, Any]]) -> None:
    runs = runs_of(sweep)
    assert sorted(row["run"] for row in table) == sorted(runs)
    for row in table:
        metrics = runs[row["run"]]
        assert row["settings"]["seed"] == metrics["seed"]
        assert f"lr-{row['settings']['optimizer.lr']}" in row["run"]
        assert f"width-{row['settings']['model.width']:.0f}" in row["run"]
        for name, tag in FIGURES.items():
            assert row["figures"][tag] == pytest.approx(metrics[name], rel=1e-6), name


@pytest.mark.slow
def test_each_run_is_there_once_with_its_figures(labbook: Command) -> None:
    sweep = done(labbook(*SWEEP))
    assert len(runs_of(sweep)) == 4
    check(sweep, table_of(sweep))


@pytest.mark.slow  # tests/runs/test_resume.py has the quick test of TensorBoard's steps after a resume
@pytest.mark.parametrize(("hook", "epoch", "batch"), [("on_train_batch_end", 1, 0), ("on_train_epoch_end", 0, 0)])
def test_also_after_one_went_on(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, hook: str, epoch: int, batch: int
) -> None:
    signal_at(monkeypatch, hook, epoch, batch, signal.SIGTERM)
    assert labbook(*SWEEP).code == 143
    sweep = done(labbook(*SWEEP))
    assert [run.get("resumed", 0) for run in runs_of(sweep).values()].count(1) == 1
    check(sweep, table_of(sweep))

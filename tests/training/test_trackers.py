"""A run folder is one run in a tracker, however often it is resumed."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger

from labbook.training import trackers

MLFLOW = {"tracking_uri": "sqlite:///x.db"}


class Run:
    """What trackers ask of a run."""

    def __init__(self, path: Path) -> None:
        self.folder, self.path, self.leads, self.metrics = self, path, True, dict[str, Any]()

    def record(self, metrics: dict[str, Any], _: str) -> None:
        self.metrics |= metrics


class Fake(MLFlowLogger):
    """Without MLflow, which the tests' environment does not have."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.logged: dict[str, Any] = {}

    @property
    def run_id(self) -> str:
        return "abc"

    @property
    def experiment(self) -> Any:
        data = SimpleNamespace(data=SimpleNamespace(params={"epochs": "1", "seed": "42"}))
        return SimpleNamespace(get_run=lambda _: data, set_tag=lambda _, name, value: self.tags.update({name: value}))

    def log_hyperparams(self, params: Any, *_: Any) -> None:
        self.logged.update(params)


def test_a_resumed_run_has_the_name_that_it_had(tmp_path: Path) -> None:
    run: Any = Run(tmp_path / "2026_mlp")
    assert trackers.tracker_options(MLFlowLogger, MLFLOW, run) == {"run_name": "2026_mlp"}
    trackers.connect_tracker(Fake(), MLFLOW, run)
    assert trackers.tracker_options(MLFlowLogger, MLFLOW, run) == {"run_name": "2026_mlp", "run_id": "abc"}
    assert trackers.tracker_options(MLFlowLogger, {"tracking_uri": "http://other"}, run) == {"run_name": "2026_mlp"}
    assert trackers.tracker_options(WandbLogger, {"project": "labbook"}, run) == {"name": "2026_mlp"}
    assert trackers.tracker_options(WandbLogger, {"project": "labbook", "name": "mine"}, run) == {}
    assert trackers.tracker_options(TensorBoardLogger, {}, run) == {}
    run.metrics[trackers.TRACKED] = ["not as it is written"]
    assert trackers.tracker_options(MLFlowLogger, MLFLOW, run) == {"run_name": "2026_mlp"}


def test_settings_that_mlflow_keeps_become_tags_where_they_changed() -> None:
    logger = Fake()
    trackers.log_settings(logger, {"epochs": 2, "seed": 42, "lr": 0.1})
    assert (logger.logged, logger.tags) == ({"lr": 0.1}, {"epochs": "2"})


def test_a_server_is_given_up_soon_only_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(trackers.RETRIES, raising=False)
    with trackers.few_retries():
        assert os.environ[trackers.RETRIES] == "1"
    assert trackers.RETRIES not in os.environ
    monkeypatch.setenv(trackers.RETRIES, "9")
    with trackers.few_retries():
        assert os.environ[trackers.RETRIES] == "9"

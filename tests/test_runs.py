"""How runs are named and found again."""

import json
import os
from pathlib import Path

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf, open_dict

from labbook import config as settings
from labbook import runs
from labbook.cli import CONFIGS
from labbook.errors import SettingError


@pytest.fixture
def config() -> DictConfig:
    settings.register()
    with hydra.initialize_config_dir(str(CONFIGS)):
        composed = hydra.compose("train")
    with open_dict(composed):
        composed.choices = {"model": "lenet5", "data": "digits"}
    return composed


@pytest.mark.parametrize("name", [item for item in runs.INDIFFERENT if item != "data.cache_dir"])
def test_what_does_not_change_the_result_does_not_change_the_identity(config: DictConfig, name: str) -> None:
    before = runs.identity(config)
    if name == "checkpoint":
        config.checkpoint.every_minutes = 3.0
    else:
        OmegaConf.update(config, name, "elsewhere", merge=False)
    assert runs.identity(config) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 1), ("epochs", 31), ("optimizer.lr", 0.1), ("model.padding", 1), ("data.shuffle", False),
     ("trainer.precision", 32), ("task.label_smoothing", 0.1), ("data.val_seed", 1), ("test_on", "last")],
)  # fmt: skip
def test_what_changes_the_result_changes_the_identity(config: DictConfig, name: str, value: object) -> None:
    before = runs.identity(config)
    OmegaConf.update(config, name, value)
    assert runs.identity(config) != before


def test_folders_never_meet(tmp_path: Path) -> None:
    folders = [runs.make_folder(tmp_path / "runs", "same") for _ in range(3)]
    assert [folder.name for folder in folders] == ["same", "same_2", "same_3"]


def test_metrics_are_one_line_a_figure_and_readable(tmp_path: Path, config: DictConfig) -> None:
    with runs.Run(tmp_path, config) as run:
        run.record({"test/acc": 0.5, "test/confusion_matrix": [[1, 2], [3, 4]]}, "finished")
    text = (tmp_path / "metrics.json").read_text()
    assert len(text.splitlines()) == 2 + len(json.loads(text))
    assert runs.read_metrics(tmp_path)["test/confusion_matrix"] == [[1, 2], [3, 4]]


def test_the_status_tells_how_it_ended(tmp_path: Path, config: DictConfig) -> None:
    def fails() -> None:
        with runs.Run(tmp_path, config):
            assert runs.read_metrics(tmp_path)["status"] == "running"
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        fails()
    assert runs.read_metrics(tmp_path)["status"] == "failed"
    assert runs.read_metrics(tmp_path)["reason"] == "KeyError: 'a bug'"
    assert "Traceback" in (tmp_path / "train.log").read_text()
    with runs.Run(tmp_path, config) as again:
        again.record({}, "finished")
    assert "reason" not in runs.read_metrics(tmp_path)


def test_a_damaged_metrics_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"status": "fini')
    assert runs.read_metrics(tmp_path) == {}


def test_processes_of_torchrun_must_know_their_folder(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv(runs.FOLDER_VARIABLE, raising=False)
    with pytest.raises(SettingError, match=f"set {runs.FOLDER_VARIABLE}=FOLDER"):
        runs.open_run(config)
    monkeypatch.setenv(runs.FOLDER_VARIABLE, str(tmp_path))
    assert not runs.open_run(config).leads
    monkeypatch.setenv("RANK", "0")
    first = runs.open_run(config)
    assert first.leads
    assert first.path == tmp_path
    assert os.environ[runs.FOLDER_VARIABLE] == str(tmp_path)

"""The lock, the log and the status of a run at work."""

import errno
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from labbook import files
from labbook.errors import SettingError, TrainingError
from labbook.runs import run_folder, run_session


def session(path: Path, config: DictConfig, leads: bool = True) -> run_session.RunSession:
    return run_session.RunSession(run_folder.RunFolder(path, config, leads))


def test_metrics_are_one_line_a_figure_and_readable(tmp_path: Path, config: DictConfig) -> None:
    with session(tmp_path, config) as run:
        run.folder.record({"test/acc": 0.5, "test/confusion_matrix": [[1, 2], [3, 4]]}, "finished")
    text = (tmp_path / "metrics.json").read_text()
    assert len(text.splitlines()) == 2 + len(json.loads(text))
    assert run_folder.read_metrics(tmp_path)["test/confusion_matrix"] == [[1, 2], [3, 4]]


def test_the_status_tells_how_it_ended(tmp_path: Path, config: DictConfig) -> None:
    def fails() -> None:
        with session(tmp_path, config):
            assert run_folder.read_metrics(tmp_path)["status"] == "running"
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        fails()
    assert run_folder.read_metrics(tmp_path)["status"] == "failed"
    assert run_folder.read_metrics(tmp_path)["reason"] == "KeyError: 'a bug'"
    assert "Traceback" in (tmp_path / "train.log").read_text()
    with session(tmp_path, config) as again:
        again.folder.record({}, "finished")
    assert "reason" not in run_folder.read_metrics(tmp_path)


def test_a_finished_run_that_is_gone_on_with_is_not_finished_before_it_is_longer(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(tmp_path, config) as run:
        run.folder.record({}, "finished")
    original, handlers = run_folder.write_whole, list(logging.getLogger("labbook").handlers)

    def killed(path: Path, text: str, **_: bool) -> None:
        if path.name == run_folder.CONFIG:
            raise KeyboardInterrupt
        original(path, text)

    monkeypatch.setattr(run_folder, "write_whole", killed)
    with pytest.raises(KeyboardInterrupt), session(tmp_path, config):
        pass
    assert run_folder.read_metrics(tmp_path)["status"] == "running"
    assert logging.getLogger("labbook").handlers == handlers


@pytest.mark.parametrize(("trained", "status"), [(False, "finished"), (True, "failed")])
def test_a_refused_resume_is_undone_unless_it_was_trained(
    trained: bool, status: str, tmp_path: Path, config: DictConfig
) -> None:
    with session(tmp_path, config) as run:
        run.folder.record({}, "finished")

    def refused() -> None:
        with session(tmp_path, config):
            if trained:
                (tmp_path / "checkpoints" / "last.ckpt").touch()
            raise SettingError("wrong")

    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(SettingError):
        refused()
    assert run_folder.read_metrics(tmp_path)["status"] == status


@pytest.mark.parametrize("also", [None, KeyError("a bug")], ids=["nothing else", "a failure"])
def test_what_cannot_be_closed_ends_a_run_as_interrupted_and_is_said(
    also: Exception | None, tmp_path: Path, config: DictConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "events")

    def fills_the_disk() -> None:
        with session(tmp_path, config) as run:
            run.closing.callback(full)
            run.folder.record({}, "finished")
            if also:
                raise also

    with pytest.raises(type(also) if also else OSError):
        fills_the_disk()
    assert run_folder.read_metrics(tmp_path)["status"] == ("failed" if also else "interrupted")
    assert capsys.readouterr().out.endswith(f"run: {tmp_path}\n")


def test_two_processes_do_not_work_on_one_run(tmp_path: Path, config: DictConfig) -> None:
    with session(tmp_path, config) as run:
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with (
            pytest.raises(SettingError, match="is in use by another process"),
            session(tmp_path, config),
        ):
            pass
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        with session(tmp_path, config, leads=False):  # another process of the same run
            pass
        run.folder.record({}, "finished")
    assert not (tmp_path / files.LOCK).exists()
    with session(tmp_path, config):
        pass


def test_a_run_goes_on_where_nothing_can_be_locked(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(files.FileLock, "acquire", cannot)
    with session(tmp_path, config) as run:
        run.folder.record({}, "finished")
    assert run_folder.read_metrics(tmp_path)["status"] == "finished"


def test_a_run_whose_folder_is_taken_away_says_so(tmp_path: Path, config: DictConfig) -> None:
    folder = tmp_path / "run"
    folder.mkdir()

    def taken_away() -> None:
        with session(folder, config) as run:
            shutil.rmtree(folder)
            run.folder.record({}, "finished")

    with pytest.raises(TrainingError, match="run was deleted or moved while the run was writing to it"):
        taken_away()


def test_a_new_run_that_finds_no_room_to_begin_leaves_no_folder(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device") as error, session(folder, config):
        pass
    assert error.value.filename == str(folder / "metrics.json")
    assert not folder.exists()


def test_a_run_that_finds_no_room_to_go_on_stays(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(tmp_path, config) as run:
        run.folder.record({"val/acc": 0.5}, "interrupted")
    before = {name: (tmp_path / name).read_bytes() for name in ("config.yaml", "metrics.json")}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device"), session(tmp_path, config):
        pass
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_processes_of_torchrun_must_know_their_folder(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv(run_session.FOLDER_VARIABLE, raising=False)
    with pytest.raises(SettingError, match=f"set {run_session.FOLDER_VARIABLE}=FOLDER"):
        run_session.open_run(config)
    monkeypatch.setenv(run_session.FOLDER_VARIABLE, str(tmp_path))
    assert not run_session.open_run(config).folder.leads
    monkeypatch.setenv("RANK", "0")
    first = run_session.open_run(config).folder
    assert first.leads
    assert first.path == tmp_path
    assert os.environ[run_session.FOLDER_VARIABLE] == str(tmp_path)

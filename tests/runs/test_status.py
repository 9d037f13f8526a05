"""How far a run has come, as every program says it."""

from pathlib import Path

import pytest

from labbook.files import LOCK, folder_lock
from labbook.runs.run_folder import state_of, unfinished_notes


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text("seed: 42")
    (tmp_path / "metrics.json").write_text('{"status": "running"}')
    return tmp_path


def test_a_run_that_was_killed_is_interrupted(run: Path) -> None:
    for left in (False, True):
        assert state_of(run)[0] == "interrupted"
        assert unfinished_notes(run) == ["the run is not finished (interrupted): its last checkpoint is used"]
        if not left:
            (run / LOCK).touch()


def test_a_run_at_work_is_running(run: Path) -> None:
    with folder_lock(run):
        assert state_of(run)[0] == "running"
        assert unfinished_notes(run) == ["the run is not finished (running): its last checkpoint is used"]


def test_a_finished_run_needs_no_word(run: Path) -> None:
    (run / "metrics.json").write_text('{"status": "finished", "objective": 0.5}')
    assert state_of(run)[0] == "finished"
    assert unfinished_notes(run) == []

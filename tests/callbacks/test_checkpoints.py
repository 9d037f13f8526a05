"""The states of a run on the disk: a run resumes from the newest whole one, and a failed write loses none."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from labbook import files
from labbook.callbacks import epoch_recorder
from labbook.errors import SettingError
from labbook.training import checkpoint_io
from labbook.training.checkpoint_io import AtomicCheckpointIO
from tests.conftest import Command
from tests.runs.test_killed import same_in_all
from tests.test_train import QUICK, metrics_of, rows_of

SETTINGS = (*QUICK, "epochs=3", "data.limit=300", "callbacks=none")


def spoil(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def stopped_at(epochs: int, labbook: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of three epochs that was interrupted after so many."""
    from labbook.callbacks.checkpoints import RunCheckpoints

    original = RunCheckpoints.save_epoch

    def stop(self: RunCheckpoints, trainer: Any, *rest: Any) -> None:
        if trainer.current_epoch + 1 == epochs:
            self.signals.received = 15
        original(self, trainer, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoints, "save_epoch", stop)
        ended = labbook(*SETTINGS)
    assert ended.code == 143
    return ended.run


def test_a_damaged_checkpoint_is_noticed_and_the_previous_one_used(
    labbook: Command, trained: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(*SETTINGS)
    run = stopped_at(2, labbook, monkeypatch)
    last, previous = run / "checkpoints" / "last.ckpt", run / "checkpoints" / "previous.ckpt"
    before = previous.read_bytes()
    spoil(last)
    kept: list[bytes] = []
    original = AtomicCheckpointIO.save_checkpoint

    def watched(self: AtomicCheckpointIO, content: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        original(self, content, path, storage_options)
        kept.append(previous.read_bytes())

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", watched)
    again = labbook(f"resume={run}")
    assert again.code == 0, again.err
    told = f"{last} is damaged (its checksum is wrong): resuming from {previous}"
    assert told in again.out
    assert told in (run / "train.log").read_text()
    assert "resuming from epoch 1, step 5" in again.out
    same_in_all(whole, run)
    assert kept[0] == kept[1] == before  # a damaged file never takes the place of a good one


def test_a_state_between_its_two_names_is_used(
    labbook: Command, trained: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(*SETTINGS)
    run = stopped_at(2, labbook, monkeypatch)
    (run / "checkpoints" / "last.ckpt").replace(run / "checkpoints" / "previous.ckpt")
    again = labbook(f"resume={run}")
    assert again.code == 0, again.err
    assert "resuming from epoch 2, step 10" in again.out
    same_in_all(whole, run)


def test_where_no_state_is_whole_the_run_is_not_touched(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stopped_at(2, labbook, monkeypatch)
    folder = run / "checkpoints"
    spoil(folder / "last.ckpt")
    (folder / "previous.ckpt").write_bytes(b"")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    again = labbook(f"resume={run}")
    assert again.code == 2
    assert again.sentence == (
        f"{folder}/last.ckpt is damaged (its checksum is wrong) and {folder}/previous.ckpt is damaged (it is"
        " truncated or not a"
        f" checkpoint), and there is no other checkpoint: to start from the beginning, delete {folder}"
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_finished_run_keeps_one_state_and_damaged_best_weights_are_not_tested(
    labbook: Command, trained: Callable[..., Path]
) -> None:
    run = trained(*SETTINGS)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    spoil(run / "checkpoints" / "best.ckpt")
    (run / "metrics.json").unlink()  # as if it had been interrupted before the test
    again = labbook(f"resume={run}")
    assert again.code == 2
    assert again.sentence == (
        f"{run}/checkpoints/best.ckpt is damaged (its checksum is wrong), so it is not loaded;"
        " with test_checkpoint=last the last weights are tested instead"
    )
    assert labbook(f"resume={run}", "test_checkpoint=last").code == 0
    assert metrics_of(run)["status"] == "finished"


@pytest.mark.parametrize(
    ("operation", "number"),
    [
        ("write", errno.ENOSPC),
        pytest.param("check", errno.EIO, marks=pytest.mark.slow),
        pytest.param("fsync", errno.EIO, marks=pytest.mark.slow),
        ("replace", errno.EACCES),
    ],
)
def test_a_write_that_fails_says_which_state_is_still_good(
    operation: str, number: int, labbook: Command, trained: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(*SETTINGS, "epochs=1")
    last = run / "checkpoints" / "last.ckpt"
    before = last.read_bytes()

    def fails(*arguments: Any, **_: Any) -> Any:
        raise OSError(number, os.strerror(number), str(last))

    with monkeypatch.context() as patch:
        if operation == "write":
            patch.setattr(torch, "save", fails)
        elif operation == "check":
            patch.setattr(checkpoint_io, "add_checksum", fails)
        else:
            owner: Any = os if operation == "fsync" else Path
            original = getattr(owner, operation)

            def sometimes(*arguments: Any) -> Any:
                saving = (run / "checkpoints").is_dir() and list((run / "checkpoints").glob(f".*{files.PARTIAL}"))
                return fails() if saving else original(*arguments)

            patch.setattr(owner, operation, sometimes)
        ended = labbook(f"resume={run}", "epochs=3", "test_checkpoint=last")
    assert ended.code == 2
    assert f"last.ckpt could not be written ({os.strerror(number)}): {last} is unchanged and valid" in ended.out
    assert ended.sentence.endswith(f"{last}: {os.strerror(number)}")
    assert f"interrupted; to resume: python train.py resume={run}" in ended.out
    assert last.read_bytes() == before
    assert metrics_of(run)["status"] == "interrupted"
    assert not list(run.rglob(f"*{files.PARTIAL}"))
    if operation == "replace":
        assert labbook(f"resume={run}", "epochs=3").code == 0


def test_a_run_is_not_resumed_from_weights_alone(labbook: Command, trained: Callable[..., Path]) -> None:
    run = trained(*SETTINGS)
    (run / "checkpoints" / "best.ckpt").replace(run / "checkpoints" / "last.ckpt")
    again = labbook(f"resume={run}", "epochs=5")
    assert again.sentence == f"{run}/checkpoints/last.ckpt has only weights, so a run cannot resume from it"


def test_a_checkpoint_is_only_what_holds_weights(tmp_path: Path) -> None:
    torch.save([1], tmp_path / "list.ckpt")
    with pytest.raises(SettingError, match="is not a checkpoint of a run: it has no weights"):
        checkpoint_io.load_checkpoint_file(tmp_path / "list.ckpt")
    with pytest.raises(SettingError, match="does not exist"):
        checkpoint_io.load_checkpoint_file(tmp_path / "none.ckpt")
    with pytest.raises(SettingError, match="does not exist"):
        checkpoint_io.load_checkpoint_file(tmp_path)


@pytest.mark.parametrize("call", [2, pytest.param(3, marks=pytest.mark.slow)], ids=["an earlier one", "the last"])
def test_a_table_that_is_locked_for_a_while_does_not_end_the_run(
    call: int, labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = epoch_recorder.write_whole, 0

    def denied(path: Path, text: str) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise PermissionError(errno.EACCES, "Permission denied")
        original(path, text)

    monkeypatch.setattr(epoch_recorder, "write_whole", denied)
    ended = labbook(*SETTINGS)
    assert ended.code == 0, ended.err
    assert "metrics.csv could not be written (Permission denied): the next epoch tries again" in ended.out
    assert [row["epoch"] for row in rows_of(ended.run)] == ["1", "2", "3"]

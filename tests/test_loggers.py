"""TensorBoard's event files: their order, and what they cannot take."""

import errno
import time
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from labbook.loggers import EVENTS, TensorBoard


def begun(folder: Path) -> list[int]:
    """The seconds in the names of a folder's event files, in the order that readers take them in."""
    return [int(found[1]) for path in sorted(folder.iterdir()) if (found := EVENTS.match(path.name))]


def test_what_goes_on_has_a_later_second_than_what_is_there(tmp_path: Path) -> None:
    for part in range(3):
        logger = TensorBoard(str(tmp_path))
        if part:
            logger.purge(part)
        logger.log_metrics({"loss": 1.0}, part)
        logger.close()
    seconds = begun(tmp_path)
    assert len(seconds) == len(set(seconds)) == 3


def test_a_clock_that_is_far_ahead_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / f"events.out.tfevents.{int(time.time()) + 3600}.elsewhere.1.0").touch()
    start = time.monotonic()
    TensorBoard(str(tmp_path)).purge(5)
    assert time.monotonic() - start < 3


def test_a_disk_that_cannot_be_written_is_not_taken_for_a_wrong_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    logger = TensorBoard(str(tmp_path))
    with pytest.raises(OSError, match="No space left"):
        logger.log_metrics({"loss": 1.0}, 0)
    logger.close()

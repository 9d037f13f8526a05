"""What is said on the terminal arrives in whole lines, whoever else speaks there."""

import io
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from labbook.runs.log_files import OURS, RunLog, print_line


class Pieces(io.RawIOBase):
    """What is handed to the operating system, write by write."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        piece = bytes(content)  # type: ignore[call-overload]
        self.written.append(piece)
        return len(piece)


def through_a_log() -> None:
    with RunLog(Path("train.log"), prefix="[2/4] "):
        logging.getLogger(OURS.name).info("run: %s", "here")


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize(("stream", "said", "line"), [
    ("stdout", through_a_log, b"[2/4] run: here\n"),
    ("stdout", lambda: print_line("finished"), b"finished\n"),
    ("stderr", lambda: print_line("failed", error=True), b"failed\n"),
])  # fmt: skip
def test_a_line_is_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buffered: bool, stream: str, said: Callable[[], None], line: bytes
) -> None:
    """Also where PYTHONUNBUFFERED is set, as it is in many containers."""
    monkeypatch.chdir(tmp_path)
    raw = Pieces()
    below = io.BufferedWriter(raw) if buffered else raw
    monkeypatch.setattr(f"sys.{stream}", io.TextIOWrapper(below, write_through=not buffered))  # type: ignore[type-var]
    said()
    assert raw.written == [line]

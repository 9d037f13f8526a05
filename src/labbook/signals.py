"""Ctrl-C, SIGTERM and similar signals, handled at a safe moment."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

from labbook.errors import StoppedBySignal

# Slurm sends USR1, or through submitit USR2, before it ends a job; a closed terminal sends HUP, on Windows BREAK.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK")
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
HANG_UP = getattr(signal, "SIGHUP", None)


def end_at_once(signum: int, _: FrameType | None) -> None:
    """End the program quietly, while nothing can be lost.

    An exception during imports can be dropped by locks, or be taken for another error.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(128 + signum)


def restore_interrupts() -> None:
    """Make Ctrl-C raise KeyboardInterrupt again, if `starting` changed that."""
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class StopSignals:
    """While entered, the first signal is kept in `received` if `deferred`, and raised at once otherwise.

    A second one always ends the program at once.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferring = False
        self._previous: dict[int, Any] = {}

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within this context, a signal is only noted: the training loop saves its state before it stops."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        first = self.received is None
        if signum == HANG_UP and not first:  # a closed terminal may send it twice
            return
        self.received = signum
        if not (first and self._deferring):
            raise StoppedBySignal(signum)

    def __enter__(self) -> "StopSignals":
        self.received = None
        if threading.current_thread() is not threading.main_thread():
            return self  # Python delivers signals only to the main thread
        for item in SIGNALS:
            if not is_ignored_signal(item):
                self._previous[item] = signal.signal(item, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for item, handler in self._previous.items():
            signal.signal(item, handler)


def is_ignored_signal(signum: int) -> bool:
    """Whether a signal must not stop a run: with nohup, or under submitit, where another one follows."""
    if signum == HANG_UP:
        return signal.getsignal(signum) == signal.SIG_IGN
    return signum == signal.SIGTERM and is_handled_by_submitit(signum)


def is_handled_by_submitit(signum: int) -> bool:
    handler = signal.getsignal(signum)
    return callable(handler) and str(getattr(handler, "__module__", "")).startswith("submitit")


def forward_to_submitit(signum: int) -> None:
    """Pass a signal, after the state is saved, to submitit, which queues the run again."""
    handler = signal.getsignal(signum)
    if is_handled_by_submitit(signum) and callable(handler):
        handler(signum, None)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Within this context, SIGTERM ends the process like Ctrl-C, so that runs in other processes end too."""
    before = signal.signal(signal.SIGTERM, lambda signum, _: sys.exit(128 + signum))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

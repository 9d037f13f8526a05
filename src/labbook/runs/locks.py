"""Which process works on which run: locks that the operating system releases when their owner dies."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from labbook.files import read_json, write_whole

CLAIMS = ".claims"  # in a sweep's folder


@contextmanager
def run_lock(sweep: Path, name: str, patience: float = 0.2) -> Iterator[bool]:
    """Hold the lock of a run, or of anything else with a name; False if another process has it.

    `patience`: seconds to try, longer than a process that only checks the lock holds it.
    """
    lock, note = _lock(sweep, name), sweep / CLAIMS / f"{_key(name)}.json"
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        yield False
        return
    try:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        write_whole(note, json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": since}))
        yield True
    finally:
        with suppress(OSError):  # on Windows, if another process reads it
            note.unlink()
        lock.release()


def lock_owner(sweep: Path, name: str) -> str | None:
    """A description of a lock's owner; None if it is free."""
    if not (sweep / CLAIMS / f"{_key(name)}.lock").exists():
        return None
    try:
        with _lock(sweep, name).acquire(blocking=False):
            return None
    except Timeout:
        note = read_json(sweep / CLAIMS / f"{_key(name)}.json")
    known = {"process", "host", "since"} <= note.keys()
    return "process {process} on {host} since {since}".format(**note) if known else "another process"


def held_locks(sweep: Path) -> dict[str, str]:
    names = (path.stem for path in sorted((sweep / CLAIMS).glob("*.lock")))
    return {name: who for name in names if (who := lock_owner(sweep, name)) is not None}


def _lock(sweep: Path, name: str) -> FileLock:
    folder = sweep / CLAIMS
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{_key(name)}.lock", fallback_to_soft=False)


def _key(name: str) -> str:
    """A run is locked by its ID, the last part of its name, so that it has one lock under any name."""
    return name.rpartition("-")[2]

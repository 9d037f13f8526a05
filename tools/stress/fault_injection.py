"""Operations on files that fail: each one below a folder is counted, and the one asked for goes wrong.

It stands in front of Python's own functions, so what the program and the libraries do through them fails as it would on
a full or broken disk: the file system underneath is a whole one. A write is one call of the system, as the buffers of
Python make them.
"""

import builtins
import errno
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

CRASHED = 137  # exit code of a program that the shim ended, as that of one that was killed

# What goes wrong, and the error that says so; a crash says nothing.
ERRORS = {
    "ENOSPC": errno.ENOSPC,
    "ENOSPC, permanent": errno.ENOSPC,
    "EIO": errno.EIO,
    "EACCES": errno.EACCES,
    "short write": errno.ENOSPC,
}
CRASH = "crash"
KINDS = (*ERRORS, CRASH)
LASTING = ("ENOSPC, permanent", "short write")  # a disk that is full stays full
# What an operation that is no write cannot meet, or does not notice.
UNHEARD_OF = {
    "fsync": {"EACCES", "short write"},
    "mkdir": {"short write"},
    "open": {"short write"},
    "rename": {"short write"},
    "link": {"short write"},
    "truncate": {"short write"},
    "unlink": {"ENOSPC", "ENOSPC, permanent", "short write"},
    "write": {"EACCES"},
}
PLAIN_OPEN: Callable[..., Any] = open


@dataclass
class Shim:
    """Counts the operations below a folder, and lets one fail."""

    folder: Path
    at: int | None = None  # which fails, counted from 0; None: none
    kind: str = CRASH
    note: Callable[[str], object] = len  # is told every operation before it is done
    count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def watches(self, path: Any) -> bool:
        """Whether a path is below the folder."""
        return Path(os.path.abspath(named(path))).is_relative_to(self.folder)  # noqa: PTH100 - follows no links

    def operation(self, name: str, path: Any, partly: Callable[[], int] | None = None) -> int | None:
        """An operation is about to be done: note it, and let it fail if it is the one.

        Returns what `partly` does if it is a write that comes to half its end; None where it is to be done.

        Raises:
            OSError: it fails.
        """
        with self._lock:
            number, self.count = self.count, self.count + 1
            self.note(f"{name} {Path(named(path)).name}")
        if self.at is None or number < self.at or (number > self.at and self.kind not in LASTING):
            return None
        if number > self.at and name in ("unlink", "fsync", "rename"):
            return None  # on a full disk there is still room for what is there
        done = partly() if partly and number == self.at and self.kind in ("short write", CRASH) else None
        if self.kind == CRASH:
            os._exit(CRASHED)
        if done is None:
            error = ERRORS[self.kind]
            raise OSError(error, os.strerror(error), named(path))
        return done

    def opened(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
        """`open`, with the layers of Python's own for a file that is written."""
        if isinstance(file, int) or not set(mode) & set("wax+") or not self.watches(file):
            return PLAIN_OPEN(file, mode, buffering, *rest, **more)
        self.operation("open", file)
        names = ("encoding", "errors", "newline", "closefd", "opener")
        options = {"encoding": None, "errors": None, "newline": None} | dict(zip(names, rest, strict=False)) | more
        raw = Raw(self, file, mode)
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, options["encoding"], options["errors"], options["newline"], buffering == 1)


def possible(operation: str) -> list[str]:
    """The ways in which an operation, as it was noted, can fail."""
    return [kind for kind in KINDS if kind not in UNHEARD_OF[operation.partition(" ")[0]]]


def named(path: Any) -> str:
    """A path as text, also that of an open file."""
    return str(Path(f"/proc/self/fd/{path}").readlink()) if isinstance(path, int) else os.fsdecode(path)


class Raw(io.FileIO):
    """A file of which every write is an operation."""

    def __init__(self, shim: Shim, file: Any, mode: str) -> None:
        self.shim, self.path = shim, file
        super().__init__(file, mode.replace("b", "").replace("t", ""))

    def write(self, data: Any, /) -> int:
        """Write what there is room for."""
        content = bytes(data)
        part = content[: len(content) // 2 + 1]
        done = self.shim.operation("write", self.path, lambda: super(Raw, self).write(part))
        return super().write(content) if done is None else done


@contextmanager
def failing(
    folder: Path, at: int | None = None, kind: str = CRASH, note: Callable[[str], object] = len
) -> Iterator[Shim]:
    """Within this, operation number `at` on files below `folder` fails in the way of `kind`."""
    shim = Shim(folder, at, kind, note)
    with ExitStack() as patches:
        for module in (builtins, io):
            patches.enter_context(mock.patch.object(module, "open", shim.opened))
        for name, call in system_calls(shim).items():
            patches.enter_context(mock.patch.object(os, name, call))
        yield shim


def system_calls(shim: Shim) -> dict[str, Callable[..., Any]]:
    """The functions of `os` that change files, with the shim in front of each."""

    def before(function: Callable[..., Any], name: str, which: int) -> Callable[..., Any]:
        def operation(*arguments: Any, **options: Any) -> Any:
            if len(arguments) > which and shim.watches(arguments[which]):
                shim.operation(name, arguments[which])
            return function(*arguments, **options)

        return operation

    def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and shim.watches(path):
            shim.operation("open", path)
        return plain_open(path, flags, *rest, **options)

    plain_open = os.open
    named = {"fsync": ("fsync", 0), "replace": ("rename", 1), "rename": ("rename", 1), "link": ("link", 1)}
    named |= {"mkdir": ("mkdir", 0), "unlink": ("unlink", 0), "remove": ("unlink", 0), "truncate": ("truncate", 0)}
    calls = {name: before(getattr(os, name), shown, which) for name, (shown, which) in named.items()}
    return calls | {"open": opened}

"""Files that are complete or absent, with checksums. Imports no torch."""

import errno
import hashlib
import json
import math
import os
import time
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from labbook.errors import SettingError

PARTIAL = ".partial"
LOCK = ".lock"
SEAL = b"sha256:"
SEAL_LENGTH = len(SEAL) + 2 * hashlib.sha256().digest_size  # bytes
CHUNK = 2**20  # bytes
SHARING_PATIENCE = 0.5  # seconds


@contextmanager
def atomic_replace(path: Path, keep: Path | None = None, durable: bool = False) -> Iterator[Path]:
    """A path beside `path` to write to; at the end it replaces `path`.

    A reader sees the old file or the new one. Several processes may write at once. If writing fails, the old file
    stays. With `keep`, the old file is kept under that name. A `durable` file survives a power cut, because it is
    flushed to the disk before and after (10 ms).
    """
    partial = path.with_name(f".{path.name[:50]}.{os.getpid()}-{uuid.uuid4().hex[:8]}{PARTIAL}")
    try:
        yield partial
        if durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        if keep is not None and path.exists():
            replace_file(path, keep)
        replace_file(partial, path)
        if durable:
            flush_folder(path.parent)
    except OSError as error:
        if error.filename in (None, str(partial)):
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            partial.unlink()


def replace_file(source: Path, target: Path) -> None:
    """Rename a file, also over another one. On Windows, wait a moment until no program has one of them open."""
    end = time.monotonic() + SHARING_PATIENCE
    while True:
        try:
            source.replace(target)
            return
        except PermissionError:
            if os.name != "nt" or time.monotonic() > end:
                raise
            time.sleep(0.05)


def write_whole(path: Path, content: str | bytes, durable: bool = False) -> None:
    """Replace a small file atomically."""
    with atomic_replace(path, durable=durable) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def read_json(file: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty if there is none, or the file is damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def finite_or_null(value: Any) -> Any:
    """Plain data for JSON, which has no nan and no infinity: these become null."""
    if isinstance(value, dict):
        return {name: finite_or_null(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, if it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError) as error:  # the second for a place such as /proc
        raise folder_error(folder) from error


def folder_error(path: Path) -> NotADirectoryError:
    """The error for a folder in which no file can be created."""
    return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, so that a renamed file keeps its new name after a power cut."""
    if os.name == "nt":  # cannot do it, and need not
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # network and FUSE file systems that cannot do it
            raise
    finally:
        os.close(descriptor)


def blocking_lock(path: Path) -> FileLock:
    """A lock for a `with` statement, which waits until it is free.

    Raises:
        OSError: the file cannot be created; FileLock would wait forever.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o644))
    return FileLock(path)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder; no effect if the file system has no locks."""
    lock = FileLock(folder / LOCK, fallback_to_soft=False)  # the death of its owner releases it
    with suppress(NotImplementedError):
        try:
            lock.acquire(timeout=0.2)  # longer than `is_folder_locked` holds it
        except Timeout as error:
            raise SettingError(f"{folder} is in use by another process: wait for it, or stop it") from error
    try:
        yield
    finally:
        with suppress(OSError):  # before the release: afterwards the file may be the lock of the next process
            (folder / LOCK).unlink()
        lock.release()


def is_folder_locked(folder: Path) -> bool:
    """Whether a process works in a folder; also true if that is unknown."""
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, fallback_to_soft=False).acquire(blocking=False):
            return False
    except (NotImplementedError, OSError):  # includes Timeout
        return True


def remove_partial(folder: Path, name: str = "") -> None:
    """Remove partial files of killed processes: all, or those whose names start with `name`."""
    for left in folder.glob(f".{name}*{PARTIAL}"):
        left.unlink(missing_ok=True)


def add_checksum(archive: Path) -> None:
    """Write the SHA-256 of a ZIP archive (such as a checkpoint) into its comment, which readers skip.

    Raises:
        OSError: the content on the disk differs from what was written, by the archive's own checksums.
    """
    if reason := find_zip_corruption(archive):
        raise OSError(errno.EIO, f"not written as expected, {reason}", str(archive))
    with archive.open("rb+") as file:
        file.seek(-2, os.SEEK_END)  # the length of the comment, at the end of an archive without one
        file.write(SEAL_LENGTH.to_bytes(2, "little"))
        length = file.tell()
        file.seek(0)
        seal = SEAL + sha256_of_stream(file, length)
        file.seek(length)
        file.write(seal)


def find_corruption(archive: Path) -> str | None:
    """What is wrong with a ZIP archive: cut, or changed since its checksum was added; None if nothing is.

    Without a checksum, only the archive's own checksums are compared.
    """
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - SEAL_LENGTH))
        comment = file.read()
        if comment.startswith(SEAL):
            file.seek(0)
            whole = comment == SEAL + sha256_of_stream(file, size - SEAL_LENGTH)
            return None if whole else "its checksum is wrong"
    return find_zip_corruption(archive)


def find_zip_corruption(archive: Path) -> str | None:
    """What is wrong with a ZIP archive, by its own checksums; None if nothing is."""
    try:
        with zipfile.ZipFile(archive) as content:
            if content.comment:
                return "its checksum is wrong"  # so damaged that it does not look like one
            wrong = content.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error):
        return "it is truncated or not a checkpoint"
    return wrong and f"the checksum of {wrong} in it is wrong"


def sha256_of_stream(file: BinaryIO, length: int) -> bytes:
    """The SHA-256 of the next `length` bytes, in hexadecimal."""
    digest = hashlib.sha256()
    while length > 0 and (chunk := file.read(min(CHUNK, length))):
        digest.update(chunk)
        length -= len(chunk)
    return digest.hexdigest().encode()

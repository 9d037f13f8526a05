"""Files that are whole or not there, and that show when they were damaged. Imports no torch."""

import errno
import hashlib
import math
import os
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


@contextmanager
def atomic_replace(path: Path, keep: Path | None = None, durable: bool = False) -> Iterator[Path]:
    """A place beside `path` to write to: in the end, what is there takes the place of `path`.

    A reader sees the old file or the new one, several processes may write at once, and where writing fails the old
    one stays. In the end the old one is kept as `keep`, if there is such a name. A `durable` file also outlives a
    power cut, for which it is flushed to the disk before and after (10 ms).

    Raises:
        OSError: it could not be written.
    """
    partial = path.with_name(f".{path.name[:50]}.{os.getpid()}-{uuid.uuid4().hex[:8]}{PARTIAL}")
    try:
        yield partial
        if durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        partial.replace(path)
        if durable:
            flush_folder(path.parent)
    except OSError as error:
        if error.filename in (None, str(partial)):
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            partial.unlink()


def write_whole(path: Path, content: str | bytes, durable: bool = False) -> None:
    """Replace a small file at once.

    Raises:
        OSError: see `atomic_replace`.
    """
    with atomic_replace(path, durable=durable) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def finite_or_null(value: Any) -> Any:
    """Plain data for JSON, which has no nan and no infinity: they are null."""
    if isinstance(value, dict):
        return {name: finite_or_null(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it is in, unless it is there.

    Raises:
        OSError: it cannot be made; NotADirectoryError, which a program tells in a sentence, where it is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError) as error:  # the second of a place such as /proc
        raise folder_error(folder) from error


def folder_error(path: Path) -> NotADirectoryError:
    """What to raise where no file can be made in a folder."""
    return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, so that a renamed file still has its new one after a power cut."""
    if os.name == "nt":  # which neither can nor need do that
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # of network and FUSE file systems that cannot
            raise
    finally:
        os.close(descriptor)


def blocking_lock(path: Path) -> FileLock:
    """A lock, to be held in a `with`, for which a process waits as long as another one holds it.

    Raises:
        OSError: there can be no such file, for which FileLock would wait for ever.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o644))
    return FileLock(path)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other processes from working in a folder; not where the file system cannot lock."""
    lock = FileLock(folder / LOCK, fallback_to_soft=False)  # which its holder's death frees
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
    """Whether a process is at work in a folder; also where that cannot be known."""
    if not (folder / LOCK).exists():
        return False
    lock = FileLock(folder / LOCK, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except (NotImplementedError, OSError):  # Timeout is one
        return True
    lock.release()
    return False


def remove_partial(folder: Path, name: str = "") -> None:
    """Remove what processes that were killed have left half written, of all files or those that begin with `name`."""
    for left in folder.glob(f".{name}*{PARTIAL}"):
        left.unlink(missing_ok=True)


def add_checksum(archive: Path) -> None:
    """Put the SHA-256 of a ZIP archive (which a checkpoint is) into its closing comment, where readers pass over it.

    Raises:
        OSError: what is on the disk is not what was written there, by the archive's own checksums.
    """
    if reason := find_zip_corruption(archive):
        raise OSError(errno.EIO, f"not written as expected, {reason}", str(archive))
    with archive.open("rb+") as file:
        file.seek(-2, os.SEEK_END)  # the length of the comment, the last there is without one
        file.write(SEAL_LENGTH.to_bytes(2, "little"))
        length = file.tell()
        file.seek(0)
        told = SEAL + sha256_of_stream(file, length)
        file.seek(length)
        file.write(told)


def find_corruption(archive: Path) -> str | None:
    """What is wrong with a ZIP archive: cut short, or changed since it was sealed; None where nothing is.

    One that was never sealed is held against its own checksums alone.
    """
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - SEAL_LENGTH))
        told = file.read()
        if told.startswith(SEAL):
            file.seek(0)
            whole = told == SEAL + sha256_of_stream(file, size - SEAL_LENGTH)
            return None if whole else "its checksum is wrong"
    return find_zip_corruption(archive)


def find_zip_corruption(archive: Path) -> str | None:
    """What is wrong with a ZIP archive by the checksums of the files in it; None where nothing is."""
    try:
        with zipfile.ZipFile(archive) as content:
            if content.comment:
                return "its checksum is wrong"  # so much so that it does not look like one
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

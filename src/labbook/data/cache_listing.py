"""The caches of decoded images in a folder: their sizes, and which of them no longer match their images."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labbook.data.cache_records import CacheRecord, file_status, read_record

SUFFIXES = (".json", ".pixels", ".lock")  # .json is removed first: without it, nothing uses the pixels


@dataclass(frozen=True)
class CacheEntry:
    """One cache: KEY.pixels with its record, which is None if it is missing, damaged or of an earlier version."""

    path: Path
    record: CacheRecord | None
    written: datetime
    size: int  # bytes
    is_old: bool  # an image was changed, moved or deleted since, or the record is None

    @property
    def name(self) -> str:
        """The key."""
        return self.path.stem


def list_caches(folder: Path) -> list[CacheEntry]:
    """The caches in a folder, the newest first."""
    files = sorted(folder.glob("*.pixels"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [_entry(path) for path in files]


def _entry(path: Path) -> CacheEntry:
    record, status = read_record(path.with_suffix(".json")), path.stat()
    written = datetime.fromtimestamp(status.st_mtime)
    return CacheEntry(path, record, written, status.st_size, is_old=record is None or not _is_current(record))


def _is_current(record: CacheRecord) -> bool:
    """Whether all files are there and were not changed since."""
    try:
        for name, stamp in zip(record.names, record.stamps, strict=True):
            status = file_status(Path(record.folder, name))
            if [status.st_ino, status.st_ctime_ns] != stamp:
                return False
    except (OSError, ValueError):
        return False
    return True


def remove_caches(entries: Iterable[CacheEntry]) -> int:
    """Delete caches; the bytes that are free now.

    Raises:
        OSError: one cannot be deleted.
    """
    freed = 0
    for entry in entries:
        for suffix in SUFFIXES:
            with suppress(FileNotFoundError):
                entry.path.with_suffix(suffix).unlink()
        freed += entry.size
    return freed

"""The caches of decoded images in a folder: their sizes, and which of them no longer match their images."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from labbook.data.cache_records import CacheRecord, file_status, read_record
from labbook.files import PARTIAL

SUFFIXES = (".json", ".pixels", ".lock")  # .json is removed first: without it, nothing uses the pixels

ABANDONED = timedelta(hours=1)  # without a write, after which an incomplete cache is old


@dataclass(frozen=True)
class CacheEntry:
    """One cache: KEY.pixels with its record, which is None if it is missing, damaged or of an earlier version.

    Or the partial file of a process that was killed, or is still decoding: its record is None, too.
    """

    path: Path
    record: CacheRecord | None
    written: datetime
    size: int  # bytes
    is_old: bool  # an image was changed, moved or deleted since, or the record is None

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def state(self) -> str:
        """Old, current or incomplete; a run may still write to the last."""
        return "old" if self.is_old else "incomplete" if self.record is None else "current"

    @property
    def files(self) -> list[Path]:
        """What belongs to the cache, in the order in which it is deleted."""
        return [self.path] if self.path.suffix == PARTIAL else [self.path.with_suffix(suffix) for suffix in SUFFIXES]


def list_caches(folder: Path) -> list[CacheEntry]:
    """The caches in a folder, the newest first."""
    files = [*folder.glob("*.pixels"), *folder.glob(f".*.pixels.*{PARTIAL}")]
    return [_entry(path) for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)]


def _entry(path: Path) -> CacheEntry:
    status = path.stat()
    written = datetime.fromtimestamp(status.st_mtime)
    if path.suffix == PARTIAL:
        return CacheEntry(path, None, written, status.st_size, is_old=datetime.now() - written > ABANDONED)
    record = read_record(path.with_suffix(".json"))
    return CacheEntry(path, record, written, status.st_size, is_old=record is None or not _is_current(record))


def _is_current(record: CacheRecord) -> bool:
    """Whether all files are there and were not changed since."""
    try:
        status = (file_status(Path(record.folder, name)) for name in record.names)
        return [[each.st_ino, each.st_ctime_ns] for each in status] == record.stamps
    except (OSError, ValueError):
        return False


def remove_caches(entries: Iterable[CacheEntry]) -> int:
    """Delete caches; the bytes that are free now.

    Raises:
        OSError: one cannot be deleted.
    """
    freed = 0
    for entry in entries:
        for path in entry.files:
            path.unlink(missing_ok=True)
        freed += entry.size
    return freed

"""What a cache of decoded images says about itself (KEY.json beside KEY.pixels), and the caches in a folder."""

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from labbook.files import PARTIAL, write_whole

CHUNK = 2**22  # bytes that are read at a time for a checksum
SUFFIXES = (".json", ".pixels", ".lock")  # .json is removed first: without it, nothing uses the pixels
ABANDONED = timedelta(hours=1)  # without a write, after which an incomplete cache is old


@dataclass
class CacheRecord:
    """What the cache knows besides pixels. A place is the index of a file among all files."""

    digests: list[str] = field(default_factory=list)  # of the bytes of each file; empty if it could not be read
    skipped: dict[int, str] = field(default_factory=dict)  # why there is no image, by place
    transient: list[int] = field(default_factory=list)  # places of skipped files that may be readable later
    remarks: dict[int, str] = field(default_factory=dict)  # what a user should know of an image, by place
    stamps: list[list[int]] = field(default_factory=list)  # of each file: inode and time of its last change
    pixels: list[int] = field(default_factory=list)  # the same of the pixels, and their size
    checksum: int = 0  # CRC-32 of the pixels
    folder: str = ""  # that contains all files
    names: list[str] = field(default_factory=list)  # of the files, below the folder
    size: int = 0  # pixels of a side of an image
    channels: int = 0

    @property
    def images(self) -> int:
        return len(self.digests) - len(self.skipped)

    def has_pixels(self, path: Path) -> bool:
        """Whether the pixels are there and as they were written. Notes their stamp if only the stamp changed."""
        try:
            stamp = pixel_stamp(path)
            if stamp[-1] != self.images * self.channels * self.size**2:
                return False
            if stamp != self.pixels and crc32_of_file(path) != self.checksum:
                return False
        except OSError:
            return False
        self.pixels = stamp
        return True

    def write(self, path: Path) -> None:
        """Write the record, which says that the pixels are complete."""
        write_whole(path, json.dumps(asdict(self)))


def read_record(path: Path) -> CacheRecord | None:
    """The record in a file; None if it is missing or damaged."""
    try:
        record = CacheRecord(**json.loads(path.read_text(encoding="utf-8")))
        record.skipped = {int(place): str(reason) for place, reason in record.skipped.items()}
        record.remarks = {int(place): str(remark) for place, remark in record.remarks.items()}
        return record if len(record.digests) == len(record.stamps) == len(record.names) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def records_in(folder: Path, pattern: str = "*") -> Iterator[tuple[Path, CacheRecord]]:
    """The complete caches in a folder, the newest first: their pixels and their records."""
    files = sorted(folder.glob(f"{pattern}.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in files:
        if path.with_suffix(".pixels").exists() and (record := read_record(path)):
            yield path.with_suffix(".pixels"), record


def file_status(path: Path) -> os.stat_result:
    """The status of a file, or of a broken link."""
    try:
        return path.stat()
    except OSError:
        return path.lstat()


def pixel_stamp(path: Path) -> list[int]:
    """What changes when a file is written to, and its size."""
    status = path.stat()
    return [status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size]


def crc32_of_file(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return value


# The caches in a folder ---------------------------------------------------------------------------------------------


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

"""What a cache of decoded images says about itself: KEY.json beside KEY.pixels."""

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from labbook.files import write_whole

CHUNK = 2**22  # bytes that are read at a time for a checksum


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

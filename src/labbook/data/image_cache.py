"""A cache of decoded and resized image files: one file of pixels, read by memory map."""

import hashlib
import os
import sys
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from labbook.data.cache_records import CacheRecord, file_status, pixel_stamp, read_record, records_in
from labbook.data.decoding import LARGEST, Decoded, Decoding, bytes_digest, decode
from labbook.data.images import Images, with_file_hash
from labbook.errors import SettingError, printable
from labbook.files import atomic_replace, blocking_lock, make_folder, remove_partial

FORMAT = 6  # part of the key: increase it if the format or the decoding changes
AT_ONCE = 512  # images decoded ahead of the writer
A_TASK = 8  # images per task of a thread: with one, small images take most of their time between threads


@dataclass(frozen=True)
class Labelled:
    """An image file and the index of its class, or 0 or 1 for each class."""

    path: Path
    label: int | tuple[int, ...]
    validation: bool = False  # in the validation split
    group: str = ""  # such as a patient; is in one part only


class Photographs(NamedTuple):
    """Images with their files."""

    images: Images
    files: list[Labelled]
    remarks: dict[str, list[Path]]  # notes for the user, with the files of each

    @classmethod
    def none(cls, how: Decoding) -> "Photographs":
        pixels = torch.empty(0, how.channels, how.side, how.side, dtype=torch.uint8)
        return cls(with_file_hash(Images(pixels, torch.empty(0, dtype=torch.int64))), [], {})


def cached_images(files: Sequence[Labelled], how: Decoding, folder: Path, what: str) -> Photographs:
    """The images of `files`, from the cache in `folder` if they were decoded with these settings before.

    Unreadable files are left out and listed in `skipped`. Two processes at once decode once; an interrupted process
    leaves no cache that looks complete. A complete cache is only read.
    """
    cache = Cache(files, how, folder)
    try:
        record = cache.known()
        if record is None:
            make_folder(folder)
            with blocking_lock(cache.pixels.with_suffix(".lock")):
                record = cache.known() or cache.write(what)
    except OSError as error:
        reason = printable(error.strerror or error)
        raise SettingError(f"data.cache_dir={folder} cannot be written to ({reason}): name another folder") from error
    places = [place for place in range(len(files)) if place not in record.skipped]
    if not places:
        raise SettingError(f"{what}: none of {len(files)} files can be read as an image")
    read = [files[place] for place in places]
    held_out, groups = torch.tensor([file.validation for file in read]), tuple(file.group for file in read)
    images = Images(
        map_pixels(cache.pixels, len(read), how),
        torch.tensor([file.label for file in read]),
        skipped=tuple(f"{printable(files[place].path)}, which {reason}" for place, reason in record.skipped.items()),
        digests=tuple(record.digests[place] for place in places),
        validation=held_out if held_out.any() else None,
        groups=groups if any(groups) else (),
    )
    remarks: dict[str, list[Path]] = {}
    for place, remark in record.remarks.items():
        remarks.setdefault(remark, []).append(files[place].path)
    return Photographs(with_file_hash(images), read, remarks)


def map_pixels(path: Path, count: int, how: Decoding) -> Tensor:
    """A file of pixels as a tensor uint8 [count, C, side, side], channels-last; only used pixels take memory."""
    shape = (count, how.side, how.side, how.channels)
    try:  # copy-on-write, because torch needs writable memory; nothing is written
        pixels = torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="c", shape=shape))
    except OSError:  # the system reserves memory for a copy
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about read-only memory
            pixels = torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="r", shape=shape))
    return pixels.permute(0, 3, 1, 2)


class Cache:
    """The decoded images of some files: KEY.pixels, and KEY.json with the `CacheRecord`, which is written last."""

    def __init__(self, files: Sequence[Labelled], how: Decoding, folder: Path) -> None:
        self.files, self.how, self.folder = files, how, folder
        paths, status = [file.path.absolute() for file in files], [file_status(file.path) for file in files]
        self.stamps = [[each.st_ino, each.st_ctime_ns] for each in status]
        self.source = os.path.commonpath([path.parent for path in paths])
        self.group = short_hash([FORMAT, tuple(how), self.source])  # of the caches that hold the same pixels of a file
        key = short_hash((str(path), each.st_size, each.st_mtime_ns) for path, each in zip(paths, status, strict=True))
        self.pixels = folder / f"{self.group}-{key}.pixels"
        self.about = self.pixels.with_suffix(".json")

    def known(self) -> CacheRecord | None:
        """The record of these files; None if the cache is missing, damaged, or of other content.

        Content is compared only for files whose inode or time of change is different.
        """
        record = read_record(self.about)
        if record is None or len(record.digests) != len(self.files):
            return None
        before = (record.pixels, record.stamps)
        if not (record.has_pixels(self.pixels) and self.is_of_files(record)):
            return None
        if (record.pixels, record.stamps) != before:
            with suppress(OSError):  # compare again next time
                record.write(self.about)
        return record

    def is_of_files(self, record: CacheRecord) -> bool:
        """Whether the files have the same content, and unreadable files are still unreadable."""
        transient = set(record.transient)
        stamps = enumerate(zip(self.stamps, record.stamps, strict=True))
        changed = [place for place, (now, then) in stamps if now != then and place not in transient]

        def same(place: int) -> bool:
            path = self.files[place].path
            if place in transient:
                return decode(path, self.how).transient
            return bool(record.digests[place]) and file_digest(path) == record.digests[place]

        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            if not all(pool.map(same, [*changed, *transient])):
                return False
        record.stamps = self.stamps
        return True

    def write(self, what: str) -> CacheRecord:
        """Decode the files and write the pixels and then the record, which marks the cache as complete.

        Unchanged files are copied from an older cache of the same folder.
        """
        remove_partial(self.folder, self.pixels.stem)
        names = [os.path.relpath(file.path.absolute(), self.source) for file in self.files]
        record = CacheRecord(
            stamps=self.stamps, folder=self.source, names=names, size=self.how.side, channels=self.how.channels
        )
        before = self.decoded_before(names)
        new = decode_all([file.path for place, file in enumerate(self.files) if place not in before], self.how)
        images = (before[place] if place in before else next(new) for place in range(len(self.files)))
        bar = track(images, what, len(self.files), console=Console(stderr=True), disable=not sys.stderr.isatty())
        with atomic_replace(self.pixels, durable=True) as partial, partial.open("wb") as sink:
            for place, each in enumerate(bar):
                record.digests.append(each.digest)
                if each.image is None:
                    record.skipped[place] = each.problem
                    record.transient += [place] if each.transient else []
                    continue
                if each.remark:
                    record.remarks[place] = each.remark
                content = each.image.transpose(1, 2, 0).tobytes()
                record.checksum = zlib.crc32(content, record.checksum)
                sink.write(content)
        record.pixels = pixel_stamp(self.pixels)
        record.write(self.about)
        return record

    def decoded_before(self, names: list[str]) -> dict[int, Decoded]:
        """The unchanged files in the newest cache of the same folder and settings, by index in `files`."""
        for path, record in records_in(self.folder, f"{self.group}-*"):
            if record.images and record.has_pixels(path):
                break
        else:
            return {}
        there = [place for place in range(len(record.digests)) if place not in record.skipped]
        pixels = map_pixels(path, len(there), self.how).numpy()
        rows = {record.names[place]: (row, place) for row, place in enumerate(there)}
        found = {}
        for place, (name, stamp) in enumerate(zip(names, self.stamps, strict=True)):
            if name in rows and stamp == record.stamps[rows[name][1]]:
                row, then = rows[name]
                found[place] = Decoded(pixels[row], digest=record.digests[then], remark=record.remarks.get(then, ""))
        return found


def short_hash(parts: Iterable[object]) -> str:
    """16 hexadecimal digits that depend on the text of each part."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(repr(part).encode())
    return digest.hexdigest()


def decode_all(files: Sequence[Path], how: Decoding) -> Iterator[Decoded]:
    """Decode the files on all cores, in their order; Pillow releases Python's lock."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(files), AT_ONCE):
            ahead = files[start : start + AT_ONCE]
            tasks = [ahead[first : first + A_TASK] for first in range(0, len(ahead), A_TASK)]
            for images in pool.map(lambda task: [decode(file, how) for file in task], tasks):
                yield from images


def file_digest(path: Path) -> str:
    """The digest of a file as in `Decoded`; empty if it cannot be read."""
    try:
        return bytes_digest(path.read_bytes()) if path.stat().st_size <= LARGEST else ""
    except OSError:
        return ""

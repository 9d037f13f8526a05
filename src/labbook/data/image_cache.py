"""Folders of photographs, decoded and resized once into a file that is read by memory map."""

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

from labbook.data.cache_records import CacheRecord, pixel_stamp, read_record, records_in
from labbook.data.decoding import Decoded, Decoding, decode, file_digest
from labbook.data.images import Images
from labbook.errors import SettingError, printable
from labbook.files import atomic_replace, blocking_lock, make_folder, remove_partial

FORMAT = 5  # part of the key: to be raised when what is written or how it is decoded changes
AT_ONCE = 512  # images that are decoded ahead of the writer
A_TASK = 8  # images that a thread decodes at a time: with one, small images spend their time on handing over


@dataclass(frozen=True)
class Labelled:
    """An image file and the index of its class, or 0 or 1 for each class."""

    path: Path
    label: int | tuple[int, ...]
    validation: bool = False  # it is in the validation part
    group: str = ""  # such as a patient: never in two parts


class Photographs(NamedTuple):
    """Images with the files that they are of."""

    images: Images
    files: list[Labelled]
    remarks: dict[str, list[Path]]  # what a user should know, and of which files

    @property
    def digests(self) -> Sequence[str]:
        """Of the bytes of each file."""
        return self.images.digests

    @property
    def content(self) -> str:
        """A hash of the files' bytes, in their order."""
        return hashlib.sha256("".join(self.digests).encode()).hexdigest()

    @classmethod
    def none(cls, how: Decoding) -> "Photographs":
        """A part without images."""
        pixels = torch.empty(0, how.channels, how.side, how.side, dtype=torch.uint8)
        return cls(Images(pixels, torch.empty(0, dtype=torch.int64)), [], {})


def cached_images(files: Sequence[Labelled], how: Decoding, folder: Path, what: str) -> Photographs:
    """The images of `files`, from the cache in `folder` if these very files were decoded with these settings before.

    Files that cannot be read as an image are left out and named in `skipped`. Two processes at once decode once; an
    interrupted one leaves nothing behind that could be taken for whole. A cache that is complete is only read.

    Raises:
        SettingError: files of which none is an image, or a folder that cannot be written to.
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
    images = Images(
        map_pixels(cache.pixels, (len(read), how.channels, how.side, how.side)),
        torch.tensor([file.label for file in read]),
        skipped=tuple(f"{printable(files[place].path)}, which {reason}" for place, reason in record.skipped.items()),
        digests=tuple(record.digests[place] for place in places),
    )
    remarks: dict[str, list[Path]] = {}
    for place, remark in record.remarks.items():
        remarks.setdefault(remark, []).append(files[place].path)
    return Photographs(images, read, remarks)


def map_pixels(path: Path, shape: tuple[int, ...]) -> Tensor:
    """A file of pixels as a tensor uint8, of which only what is looked at takes memory."""
    try:  # copy-on-write, because torch wants memory that it could write to; nothing ever does
        return torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="c", shape=shape))
    except OSError:  # the system wants room for a copy of all
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch on memory that it cannot write to
            return torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="r", shape=shape))


class Cache:
    """The decoded images of some files: KEY.pixels, and KEY.json with the `CacheRecord`, which is written last."""

    def __init__(self, files: Sequence[Labelled], how: Decoding, folder: Path) -> None:
        self.files, self.how, self.folder = files, how, folder
        status = [file_status(file.path) for file in files]
        self.stamps = [[each.st_ino, each.st_ctime_ns] for each in status]
        self.source = os.path.commonpath([file.path.absolute().parent for file in files])
        self.group = short_hash([FORMAT, tuple(how), self.source])  # of the caches that hold the same pixels of a file
        self.pixels = folder / f"{self.group}-{cache_key(files, status)}.pixels"
        self.about = self.pixels.with_suffix(".json")

    @property
    def names(self) -> list[str]:
        """Of the files, below the folder that contains them all."""
        return [os.path.relpath(file.path.absolute(), self.source) for file in self.files]

    def known(self) -> CacheRecord | None:
        """What was written of these files; None where something is missing, damaged, or of other files by now.

        Content is compared only where the system says that a file was written to, renamed or replaced.
        """
        record = read_record(self.about)
        if record is None or len(record.digests) != len(self.files):
            return None
        before = (record.pixels, record.stamps)
        if not (record.has_pixels(self.pixels) and self.is_of_files(record)):
            return None
        if (record.pixels, record.stamps) != before:
            with suppress(OSError):  # to be compared again next time
                record.write(self.about)
        return record

    def is_of_files(self, record: CacheRecord) -> bool:
        """Whether the files hold what they held, and what could not be read still cannot be."""
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
        """Decode the files, write the pixels and, as the sign that they are complete, the record, which is returned.

        Files that an older cache of the same folder holds are copied from it.

        Raises:
            OSError: they could not be written.
        """
        remove_partial(self.folder, self.pixels.stem)
        record = CacheRecord(
            stamps=self.stamps, folder=self.source, names=self.names, size=self.how.side, channels=self.how.channels
        )
        before = self.decoded_before(record.names)
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
                content = each.image.tobytes()
                record.checksum = zlib.crc32(content, record.checksum)
                sink.write(content)
        record.pixels = pixel_stamp(self.pixels)
        record.write(self.about)
        return record

    def decoded_before(self, names: list[str]) -> dict[int, Decoded]:
        """The files that the newest cache of the same folder and settings holds unchanged, by their places now."""
        for path, record in records_in(self.folder, f"{self.group}-*"):
            if record.has_pixels(path):
                break
        else:
            return {}
        there = [place for place in range(len(record.digests)) if place not in record.skipped]
        pixels = map_pixels(path, (len(there), self.how.channels, self.how.side, self.how.side)).numpy()
        rows = {record.names[place]: (row, place) for row, place in enumerate(there)}
        found = {}
        for place, (name, stamp) in enumerate(zip(names, self.stamps, strict=True)):
            if name in rows and stamp == record.stamps[rows[name][1]]:
                row, then = rows[name]
                found[place] = Decoded(pixels[row], digest=record.digests[then], remark=record.remarks.get(then, ""))
        return found


def cache_key(files: Sequence[Labelled], status: Sequence[os.stat_result]) -> str:
    """A name for what is read from the files: changes with any file's path, length or time."""
    pairs = zip(files, status, strict=True)
    return short_hash((str(file.path.absolute()), each.st_size, each.st_mtime_ns) for file, each in pairs)


def short_hash(parts: Iterable[object]) -> str:
    """16 hexadecimal digits that depend on the text of each part."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(repr(part).encode())
    return digest.hexdigest()


def file_status(path: Path) -> os.stat_result:
    """Of a file, or of a link that leads nowhere."""
    try:
        return path.stat()
    except OSError:
        return path.lstat()


def decode_all(files: Sequence[Path], how: Decoding) -> Iterator[Decoded]:
    """What becomes of each file, in order; all cores decode (Pillow lets go of Python's lock for that)."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(files), AT_ONCE):
            ahead = files[start : start + AT_ONCE]
            tasks = [ahead[first : first + A_TASK] for first in range(0, len(ahead), A_TASK)]
            for images in pool.map(lambda task: [decode(file, how) for file in task], tasks):
                yield from images

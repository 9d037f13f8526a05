"""Folders of photographs, decoded and resized once into a file that is read by memory map."""

import hashlib
import json
import os
import sys
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from labbook.data.decoding import Decoded, Decoding, decode, file_digest
from labbook.data.images import Images
from labbook.errors import SettingError, printable
from labbook.files import atomic_replace, blocking_lock, make_folder, remove_partial, write_whole

FORMAT = 5  # part of the key: to be raised when what is written or how it is decoded changes
AT_ONCE = 512  # images that are decoded ahead of the writer
A_TASK = 8  # images that a thread decodes at a time: with one, small images spend their time on handing over
CHUNK = 2**22  # bytes that are read at a time for a checksum


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


@dataclass
class Facts:
    """What the cache knows besides pixels; a place is that of a file among all."""

    digests: list[str] = field(default_factory=list)  # of the bytes of each file; empty where it could not be read
    skipped: dict[int, str] = field(default_factory=dict)  # why there is no image, by place
    transient: list[int] = field(default_factory=list)  # places of skipped files that may be readable later
    remarks: dict[int, str] = field(default_factory=dict)  # what a user should know of an image, by place
    stamps: list[list[int]] = field(default_factory=list)  # of each file: inode and time of its last change
    pixels: list[int] = field(default_factory=list)  # the same of the pixels, and their size
    checksum: int = 0  # CRC-32 of the pixels


def cached_images(files: Sequence[Labelled], how: Decoding, folder: Path, what: str) -> Photographs:
    """The images of `files`, from the cache in `folder` if these very files were decoded with these settings before.

    Files that cannot be read as an image are left out and named in `skipped`. Two processes at once decode once; an
    interrupted one leaves nothing behind that could be taken for whole. A cache that is complete is only read.

    Raises:
        SettingError: files of which none is an image, or a folder that cannot be written to.
    """
    cache = Cache(files, how, folder)
    try:
        facts = cache.known()
        if facts is None:
            make_folder(folder)
            with blocking_lock(cache.pixels.with_suffix(".lock")):
                facts = cache.known() or cache.write(what)
    except OSError as error:
        reason = printable(error.strerror or error)
        raise SettingError(f"data.cache_dir={folder} cannot be written to ({reason}): name another folder") from error
    places = [place for place in range(len(files)) if place not in facts.skipped]
    if not places:
        raise SettingError(f"{what}: none of {len(files)} files can be read as an image")
    read = [files[place] for place in places]
    images = Images(
        map_pixels(cache.pixels, (len(read), how.channels, how.side, how.side)),
        torch.tensor([file.label for file in read]),
        skipped=tuple(f"{printable(files[place].path)}, which {reason}" for place, reason in facts.skipped.items()),
        digests=tuple(facts.digests[place] for place in places),
    )
    remarks: dict[str, list[Path]] = {}
    for place, remark in facts.remarks.items():
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
    """The decoded images of some files: KEY.pixels, and KEY.json with the `Facts`, which is written last."""

    def __init__(self, files: Sequence[Labelled], how: Decoding, folder: Path) -> None:
        self.files, self.how = files, how
        status = [file_status(file.path) for file in files]
        self.stamps = [[each.st_ino, each.st_ctime_ns] for each in status]
        key = cache_key(files, status, how)
        self.pixels, self.about = folder / f"{key}.pixels", folder / f"{key}.json"

    # What is there -------------------------------------------------------------------------------------------------

    def known(self) -> Facts | None:
        """What was written of these files; None where something is missing, damaged, or of other files by now.

        Content is compared only where the system says that a file was written to, renamed or replaced.
        """
        facts = self.stored()
        if facts is None:
            return None
        before = (facts.pixels, facts.stamps)
        if not (self.has_pixels(facts) and self.is_of_files(facts)):
            return None
        if (facts.pixels, facts.stamps) != before:
            with suppress(OSError):  # to be compared again next time
                self.keep(facts)
        return facts

    def stored(self) -> Facts | None:
        """What the JSON file says, if it is there, whole and of so many files."""
        try:
            content = json.loads(self.about.read_text(encoding="utf-8"))
            facts = Facts(**content)
            facts.skipped = {int(place): str(reason) for place, reason in facts.skipped.items()}
            facts.remarks = {int(place): str(remark) for place, remark in facts.remarks.items()}
            return facts if len(facts.digests) == len(facts.stamps) == len(self.files) else None
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None

    def has_pixels(self, facts: Facts) -> bool:
        """Whether the pixels are there and as they were written."""
        try:
            stamp = pixel_stamp(self.pixels)
            count = len(self.files) - len(facts.skipped)
            if stamp[-1] != count * self.how.channels * self.how.side**2:
                return False
            if stamp != facts.pixels and crc32_of_file(self.pixels) != facts.checksum:
                return False
        except OSError:
            return False
        facts.pixels = stamp
        return True

    def is_of_files(self, facts: Facts) -> bool:
        """Whether the files hold what they held, and what could not be read still cannot be."""
        transient = set(facts.transient)
        stamps = enumerate(zip(self.stamps, facts.stamps, strict=True))
        changed = [place for place, (now, then) in stamps if now != then and place not in transient]

        def same(place: int) -> bool:
            path = self.files[place].path
            if place in transient:
                return decode(path, self.how).transient
            return bool(facts.digests[place]) and file_digest(path) == facts.digests[place]

        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            if not all(pool.map(same, [*changed, *transient])):
                return False
        facts.stamps = self.stamps
        return True

    # Writing -------------------------------------------------------------------------------------------------------

    def write(self, what: str) -> Facts:
        """Decode all files, write the pixels and, as the sign that they are whole, the facts, which are returned.

        Raises:
            OSError: they could not be written.
        """
        remove_partial(self.pixels.parent, self.pixels.stem)
        facts = Facts(stamps=self.stamps)
        decoded = decode_all([file.path for file in self.files], self.how)
        bar = track(decoded, what, len(self.files), console=Console(stderr=True), disable=not sys.stderr.isatty())
        with atomic_replace(self.pixels, durable=True) as partial, partial.open("wb") as sink:
            for place, each in enumerate(bar):
                facts.digests.append(each.digest)
                if each.image is None:
                    facts.skipped[place] = each.problem
                    facts.transient += [place] if each.transient else []
                    continue
                if each.remark:
                    facts.remarks[place] = each.remark
                content = each.image.tobytes()
                facts.checksum = zlib.crc32(content, facts.checksum)
                sink.write(content)
        facts.pixels = pixel_stamp(self.pixels)
        self.keep(facts)
        return facts

    def keep(self, facts: Facts) -> None:
        """Write the facts."""
        write_whole(self.about, json.dumps(asdict(facts)))


def cache_key(files: Sequence[Labelled], status: Sequence[os.stat_result], how: Decoding) -> str:
    """A name for what decoding would give: changes with any file's path, length or time, and with the settings."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((FORMAT, tuple(how))).encode())
    for file, each in zip(files, status, strict=True):
        digest.update(repr((str(file.path.absolute()), file.label, each.st_size, each.st_mtime_ns)).encode())
    return digest.hexdigest()


def file_status(path: Path) -> os.stat_result:
    """Of a file, or of a link that leads nowhere."""
    try:
        return path.stat()
    except OSError:
        return path.lstat()


def pixel_stamp(path: Path) -> list[int]:
    """What changes when a file is written to, and its size."""
    status = path.stat()
    return [status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size]


def crc32_of_file(path: Path) -> int:
    """The CRC-32 of a file."""
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def decode_all(files: Sequence[Path], how: Decoding) -> Iterator[Decoded]:
    """What becomes of each file, in order; all cores decode (Pillow lets go of Python's lock for that)."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(files), AT_ONCE):
            ahead = files[start : start + AT_ONCE]
            tasks = [ahead[first : first + A_TASK] for first in range(0, len(ahead), A_TASK)]
            for images in pool.map(lambda task: [decode(file, how) for file in task], tasks):
                yield from images

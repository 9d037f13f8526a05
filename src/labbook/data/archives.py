"""Published files with their checksums, and archives: unpacked beside their folder, and moved there when complete."""

import filecmp
import gzip
import hashlib
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath

from labbook.files import replace_file

CHUNK = 2**20  # bytes
DAMAGED = ".damaged"  # appended to the name of a file that is replaced


@dataclass(frozen=True)
class Published:
    """A published file."""

    name: str
    size: int  # bytes
    digest: str  # sha256, or md5 if no other is published

    def is_at(self, path: Path) -> bool:
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as file:
            return self.is_content(file)

    def is_content(self, file: BufferedReader | BytesIO) -> bool:
        method = hashlib.sha256 if len(self.digest) == 64 else partial(hashlib.md5, usedforsecurity=False)
        return hashlib.file_digest(file, method).hexdigest() == self.digest


class ArchiveError(Exception):
    """The reason why an archive cannot be used."""


def is_complete_gzip(archive: Path) -> bool:
    """Whether a gzip file (also .tar.gz) exists and is complete."""
    try:
        with gzip.open(archive) as packed:
            while packed.read(CHUNK):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True


def install_archive(archive: Path, folder: Path) -> list[Path]:
    """Unpack `archive` into `folder`: a .tar.gz contains a folder of that name, another .gz contains one file.

    Files are moved there after all are unpacked. An existing file with other bytes is kept under another name.

    Returns:
        The other names.

    Raises:
        ArchiveError: the archive is damaged, or contains links, devices or paths outside its folder.
    """
    kept = []
    with unpack_archive(archive, folder.with_name(f".{folder.name}.unpacking")) as place:
        source = place / folder.name if tarfile.is_tarfile(archive) else place
        if not source.is_dir():
            raise ArchiveError(f"{archive.name} has no folder {folder.name}")
        folder.mkdir(parents=True, exist_ok=True)
        for new in sorted(source.iterdir()):
            old = folder / new.name
            if old.exists() and not filecmp.cmp(old, new, shallow=False):
                kept.append(old.with_name(old.name + DAMAGED))
                replace_file(old, kept[-1])
            replace_file(new, old)
    return kept


@contextmanager
def unpack_archive(archive: Path, place: Path) -> Iterator[Path]:
    """The temporary folder `place` with the content of the archive."""
    shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
    place.mkdir(parents=True)
    try:
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as packed:
                packed.extractall(place, filter=checked_member)
        else:
            with gzip.open(archive) as packed_file, (place / archive.stem).open("wb") as sink:
                shutil.copyfileobj(packed_file, sink)
        yield place
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveError(f"{archive.name} cannot be unpacked ({error})") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def checked_member(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """The member, if it is a file or folder below `place`; with the permissions of a new file."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
        raise ArchiveError(f"it holds {member.name!r}, which is not a plain file in its folder")
    return tarfile.data_filter(member, place)

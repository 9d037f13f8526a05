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
from pathlib import Path, PurePosixPath

CHUNK = 2**20  # bytes
DAMAGED = ".damaged"  # what is added to the name of a file that another one takes the place of


@dataclass(frozen=True)
class Published:
    """A file as it was published."""

    name: str
    size: int  # bytes
    digest: str  # sha256, or md5 where that is all that was published

    def is_at(self, path: Path) -> bool:
        """Whether `path` holds these very bytes."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        method = hashlib.sha256 if len(self.digest) == 64 else partial(hashlib.md5, usedforsecurity=False)
        with path.open("rb") as file:
            return hashlib.file_digest(file, method).hexdigest() == self.digest


class ArchiveError(Exception):
    """An archive that is not what it should be, in a few words."""


def is_complete_gzip(archive: Path) -> bool:
    """Whether a gzip file, packed tar or not, is there from its beginning to its end."""
    try:
        with gzip.open(archive) as packed:
            while packed.read(CHUNK):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True


def install_archive(archive: Path, folder: Path) -> list[Path]:
    """Put what is in `archive` into `folder`: a .tar.gz holds a folder of that name, another .gz holds one file.

    Nothing is moved there before all is unpacked. A file that is there with other bytes is kept under another name.

    Returns: those names.

    Raises:
        ArchiveError: an archive that is damaged, or holds what is no plain file or belongs elsewhere.
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
                kept.append(old.replace(old.with_name(old.name + DAMAGED)))
            new.replace(old)
    return kept


@contextmanager
def unpack_archive(archive: Path, place: Path) -> Iterator[Path]:
    """The folder `place` with what is in the archive, for a while."""
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
    """The member as it may be unpacked: a file or a folder below `place`, with the rights of a new one."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
        raise ArchiveError(f"it holds {member.name!r}, which is not a plain file in its folder")
    return tarfile.data_filter(member, place)

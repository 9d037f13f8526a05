"""Files in MNIST's format: the published ones and those of the user. Imports no torch."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from labbook.config.path_rules import expand_user
from labbook.data.archives import Published

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SIZES = (16 + 60_000 * 28 * 28, 8 + 60_000, 16 + 10_000 * 28 * 28, 8 + 10_000)  # bytes, of the files as they are read


def published_files(*digests: str, sizes: Sequence[int] = SIZES, ending: str = "") -> tuple[Published, ...]:
    """The four files of a set; with sizes and `ending` of archives, these."""
    names = (f"{name}{ending}" for name in NAMES)
    return tuple(Published(*each) for each in zip(names, sizes, digests, strict=True))


def archive_members(*digests: str) -> dict[str, Published]:
    """The content of the four archives, by their names."""
    return {f"{file.name}.gz": file for file in published_files(*digests)}


MNIST = archive_members(
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
FASHION_MNIST = archive_members(
    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "9018921c3c673c538a1fc5bad174d6f9",
    "8181f5470baa50b63fa0f6fddb340f0a",
    "15d484375f8d13e6eb1aabb0c3f46965",
)
# By `_target_`: the folder of the files below the root, and the published files.
SETS = {
    "labbook.data.mnist.MNIST": ("MNIST/raw", MNIST),
    "labbook.data.mnist.FashionMNIST": ("FashionMNIST/raw", FASHION_MNIST),
}


def announced_size(path: Path) -> int | None:
    """The size in bytes by the header of a file (magic number, big-endian shape); None for other formats."""
    try:
        with path.open("rb") as file:
            *magic, dimensions = file.read(4)
            shape = [int.from_bytes(file.read(4)) for _ in range(dimensions)]
    except (OSError, ValueError):
        return None
    return 4 + 4 * dimensions + prod(shape) if magic == [0, 0, 8] else None


def own_files(folder: Path, published: Iterable[Published]) -> list[Path]:
    """The files of the user: in this format, and not the published file of that name.

    A truncated file counts as the user's own if its header has another size than the published file.
    """
    return [folder / file.name for file in published if is_own(folder / file.name, file)]


def is_own(path: Path, published: Published) -> bool:
    told = announced_size(path)
    if told is None or told != published.size:
        return told is not None
    status = path.stat()
    return status.st_size == told and not is_published_file(path, published, status.st_mtime_ns)


@lru_cache(maxsize=16)
def is_published_file(path: Path, published: Published, _changed: int) -> bool:
    """Whether a file is the published one; cached until it changes."""
    return published.is_at(path)


def content_hash(paths: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(digest_of(path, path.stat().st_mtime_ns) for path in paths)).hexdigest()


@lru_cache(maxsize=16)
def digest_of(path: Path, _changed: int) -> bytes:
    """The SHA-256 of a file; cached until it changes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def own_content(data: Mapping[str, Any]) -> str:
    """A hash of the user's own files in the place of a published set; empty if there are none.

    `data` are the settings of any data set.
    """
    folder, published = SETS.get(str(data.get("_target_")), ("", {}))
    place = Path(expand_user("data.root", str(data.get("root")))) / folder
    if not own_files(place, published.values()):
        return ""
    paths = (place / file.name for file in published.values())
    return content_hash(path for path in paths if path.is_file())[:8]

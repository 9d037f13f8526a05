"""MNIST's four files as others have them: with dots in their names, packed anew, as mnist.npz, in other folders."""

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from labbook.data.checksums import Published
from labbook.errors import SettingError
from labbook.files import write_whole

ARRAYS = {  # of Keras' mnist.npz
    "train-images-idx3-ubyte": "x_train",
    "train-labels-idx1-ubyte": "y_train",
    "t10k-images-idx3-ubyte": "x_test",
    "t10k-labels-idx1-ubyte": "y_test",
}
UNREADABLE_ARCHIVE = (OSError, EOFError, zlib.error, ValueError, KeyError, zipfile.BadZipFile)


def adopt_files(root: Path, folder: str, files: Sequence[Published]) -> bool:
    """Copy published files that are missing in `root`/`folder` from another layout; whether there were any.

    Raises:
        SettingError: the folder of the set, `root`/MNIST or `root`/FashionMNIST, has other files in such a layout.
        OSError: the files could not be written.
    """
    raw, adopted = root / folder, False
    for file in files:
        if (raw / file.name).is_file():
            continue
        candidates = list(candidate_contents(root, raw, file))
        content = next((content for _, content in candidates if has_published_bytes(content, file)), None)
        if content is not None:
            raw.mkdir(parents=True, exist_ok=True)
            write_whole(raw / file.name, content)
            adopted = True
        elif own := [path for path, _ in candidates if path.is_relative_to(raw.parent) and path.suffix != ".gz"]:
            raise SettingError(
                f"{own[0]} is not the published file: move your own files to {raw} with names such as {file.name}, or"
                " delete it"
            )
    return adopted


def candidate_contents(root: Path, raw: Path, file: Published) -> Iterator[tuple[Path, bytes]]:
    """Where a file may be found in another form, with its bytes."""
    for place in (raw, raw.parent, root / "raw", root):
        for name in (file.name, file.name.replace("-idx", ".idx")):
            for path in (place / name, place / name / name, place / name / file.name, place / f"{name}.gz"):
                with suppress(*UNREADABLE_ARCHIVE):
                    yield path, gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        with suppress(*UNREADABLE_ARCHIVE):
            yield place / "mnist.npz", array_as_file(place / "mnist.npz", file.name)


def array_as_file(path: Path, name: str) -> bytes:
    """A file in MNIST's format with what an array of a .npz holds."""
    with np.load(path, allow_pickle=False) as arrays:
        values = arrays[ARRAYS[name]]
    if values.dtype != np.uint8:
        raise ValueError(f"{path} does not hold uint8")
    header = bytes((0, 0, 8, values.ndim)) + b"".join(length.to_bytes(4) for length in values.shape)
    content: bytes = header + values.tobytes()
    return content


def has_published_bytes(content: bytes, file: Published) -> bool:
    """Whether these are the published bytes."""
    method = "sha256" if len(file.digest) == 64 else "md5"
    return len(content) == file.size and hashlib.new(method, content, usedforsecurity=False).hexdigest() == file.digest

"""Folders of photographs, decoded and resized once into a file that is read by memory map."""

import hashlib
import json
import os
import stat
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from labbook.data.formats import formats
from labbook.data.module import Images
from labbook.errors import SettingError
from labbook.files import remove_partial, replacing, write_whole
from labbook.names import printable

FORMAT = 4  # part of the key: to be raised when what is written or how it is decoded changes
AT_ONCE = 512  # images that are decoded ahead of the writer
A_TASK = 8  # images that a thread decodes at a time: with one, small images spend their time on handing over
LARGEST = 2**30  # bytes of a file: it is read whole, by as many threads as there are cores

# Of a file that Pillow reads nonetheless, such as a large one; of one that it does not, `Decoded.problem` tells.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class Labelled:
    """An image file and the index of its class."""

    path: Path
    label: int


class Decoded(NamedTuple):
    """What became of a file."""

    image: np.ndarray | None  # uint8 [C, size, size]
    problem: str = ""  # why there is none
    digest: str = ""  # of the file's bytes


class Photographs(NamedTuple):
    """Images with the files that they are of."""

    images: Images
    files: list[Labelled]
    digests: list[str]  # of the files' bytes


class Facts(NamedTuple):
    """What the cache knows besides pixels."""

    skipped: dict[int, str]  # why a file has no image, by its place among the files
    digests: list[str]  # of the others


def cached(files: Sequence[Labelled], size: int, channels: int, folder: Path, what: str) -> Photographs:
    """The images of `files`, from the cache in `folder` if these very files were decoded with these settings before.

    Files that cannot be read as an image are left out and named in `skipped`. Two processes at once decode once; an
    interrupted one leaves nothing behind that could be taken for whole.

    Raises:
        SettingError: files of which none is an image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = fingerprint(files, size, channels)
    pixels, about = folder / f"{key}.pixels", folder / f"{key}.json"
    facts = known(pixels, about, len(files), channels * size * size)
    if facts is None:
        with FileLock(folder / f"{key}.lock"):
            facts = known(pixels, about, len(files), channels * size * size)
            if facts is None:
                facts = write(files, size, channels, pixels, about, what)
    read = [file for place, file in enumerate(files) if place not in facts.skipped]
    if not read:
        raise SettingError(f"{what}: none of {len(files)} files can be read as an image")
    # Copy-on-write, because torch wants memory that it could write to; nothing ever does.
    memory = np.memmap(pixels, dtype=np.uint8, mode="c", shape=(len(read), channels, size, size))
    labels = torch.tensor([file.label for file in read])
    skipped = tuple(f"{printable(files[place].path)}, which {reason}" for place, reason in facts.skipped.items())
    return Photographs(Images(torch.from_numpy(memory), labels, skipped), read, facts.digests)


def fingerprint(files: Sequence[Labelled], size: int, channels: int) -> str:
    """A name for what decoding would give: changes with any file's path, length or time, and with the settings."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((FORMAT, size, channels)).encode())
    for file in files:
        try:
            status = file.path.stat()
        except OSError:  # a link to nowhere
            status = file.path.lstat()
        digest.update(repr((str(file.path.absolute()), file.label, status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()


def known(pixels: Path, about: Path, count: int, image_bytes: int) -> Facts | None:
    """What `about` says of the images in `pixels`, of so many files; None unless both are there and whole."""
    try:
        content = json.loads(about.read_text(encoding="utf-8"))
        facts = Facts({int(place): str(reason) for place, reason in content["skipped"]}, list(content["digests"]))
        left = count - len(facts.skipped)
        return facts if len(facts.digests) == left and pixels.stat().st_size == left * image_bytes else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def write(files: Sequence[Labelled], size: int, channels: int, pixels: Path, about: Path, what: str) -> Facts:
    """Decode all files into `pixels`, and then, as the sign that it is whole, write `about`, which is returned."""
    remove_partial(pixels.parent, pixels.stem)
    facts = Facts({}, [])
    decoded = decode_all([file.path for file in files], size, channels)
    bar = track(decoded, what, len(files), console=Console(stderr=True), disable=not sys.stderr.isatty())
    with replacing(pixels, durable=True) as partial, partial.open("wb") as sink:
        for place, (image, problem, digest) in enumerate(bar):
            if image is None:
                facts.skipped[place] = problem
            else:
                sink.write(image.tobytes())
                facts.digests.append(digest)
    write_whole(about, json.dumps({"skipped": list(facts.skipped.items()), "digests": facts.digests}))
    return facts


def decode_all(files: Sequence[Path], size: int, channels: int) -> Iterator[Decoded]:
    """What becomes of each file, in order; all cores decode (Pillow lets go of Python's lock for that)."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(files), AT_ONCE):
            ahead = files[start : start + AT_ONCE]
            tasks = [ahead[first : first + A_TASK] for first in range(0, len(ahead), A_TASK)]
            for images in pool.map(lambda task: [decode(file, size, channels) for file in task], tasks):
                yield from images


def decode(path: Path, size: int, channels: int) -> Decoded:
    """One image as uint8 [C, size, size], upright, resized without regard to its aspect; or why it cannot be read."""
    mode = "L" if channels == 1 else "RGB"
    digest = ""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            return Decoded(None, "is no file")
        if status.st_size > LARGEST:
            return Decoded(None, "is larger than a GB")
        content = path.read_bytes()
        digest = hashlib.sha256(content, usedforsecurity=False).hexdigest()[:32]
        with Image.open(BytesIO(content), formats=formats()) as image:
            image.draft(mode, (2 * size, 2 * size))  # a JPEG much larger than asked for is decoded smaller
            upright = eight_bits(ImageOps.exif_transpose(image))
            resized = upright.convert(mode).resize((size, size), Image.Resampling.BILINEAR)
    except UnidentifiedImageError:
        return Decoded(None, "is no image", digest)
    except Exception as error:  # each format's decoder has its own ways to fail
        return Decoded(None, printable(f"cannot be decoded ({error})"), digest)
    array = np.asarray(resized)
    return Decoded(array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1)), digest=digest)


def eight_bits(image: Image.Image) -> Image.Image:
    """The image in a mode that Pillow converts without loss of meaning: it would cut off all shades above 255.

    What is transparent is seen on white: Pillow would show the colour that is hidden there, mostly black.
    """
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels, whose range is not known: save it with 8 or 16 bits")
    return image

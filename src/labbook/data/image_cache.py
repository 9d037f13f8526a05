"""Folders of photographs, decoded and resized once into a file that is read by memory map."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from labbook.data.module import Images
from labbook.errors import SettingError

OnCorrupt = Literal["raise", "skip"]
FORMAT = 2  # part of the key: to be raised when what is written or how it is decoded changes
AT_ONCE = 512  # images that are decoded ahead of the writer
A_TASK = 8  # images that a thread decodes at a time: with one, small images spend their time on handing over


@dataclass(frozen=True)
class Labelled:
    """An image file and the index of its class."""

    path: Path
    label: int


def cached(
    files: Sequence[Labelled], size: int, channels: int, on_corrupt: OnCorrupt, folder: Path, what: str
) -> Images:
    """The images of `files`, from the cache in `folder` if these very files were decoded with these settings before.

    Two processes at once decode once; an interrupted one leaves nothing behind that could be taken for whole.

    Raises:
        SettingError: a file that cannot be read as an image, unless `on_corrupt` is "skip".
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = fingerprint(files, size, channels, on_corrupt)
    pixels, about = folder / f"{key}.pixels", folder / f"{key}.json"
    facts = known(pixels, about, channels * size * size)
    if facts is None:
        with FileLock(folder / f"{key}.lock"):
            facts = known(pixels, about, channels * size * size)
            if facts is None:
                facts = write(files, size, channels, on_corrupt, pixels, about, what)
    labels, skipped = facts["labels"], facts["skipped"]
    if not labels:
        raise SettingError(f"{what}: none of {len(files)} files can be read as an image")
    # Copy-on-write, because torch wants memory that it could write to; nothing ever does.
    memory = np.memmap(pixels, dtype=np.uint8, mode="c", shape=(len(labels), channels, size, size))
    return Images(torch.from_numpy(memory), torch.tensor(labels), tuple(skipped))


def fingerprint(files: Sequence[Labelled], size: int, channels: int, on_corrupt: OnCorrupt) -> str:
    """A name for what decoding would give: changes with any file's path, length or time, and with the settings."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((FORMAT, size, channels, on_corrupt)).encode())
    for file in files:
        status = file.path.stat()
        digest.update(repr((str(file.path.absolute()), file.label, status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()


def known(pixels: Path, about: Path, image_bytes: int) -> dict[str, list[Any]] | None:
    """What `about` says of the images in `pixels`; None unless both are there and whole."""
    try:
        facts: dict[str, list[Any]] = json.loads(about.read_text(encoding="utf-8"))
        return facts if pixels.stat().st_size == len(facts["labels"]) * image_bytes else None
    except (OSError, ValueError):
        return None


def write(
    files: Sequence[Labelled],
    size: int,
    channels: int,
    on_corrupt: OnCorrupt,
    pixels: Path,
    about: Path,
    what: str,
) -> dict[str, list[Any]]:
    """Decode all files into `pixels`, and then, as the sign that it is whole, write `about`, which is returned."""
    partial = pixels.with_suffix(".partial")
    labels: list[int] = []
    skipped: list[str] = []
    decoded = decode_all(files, size, channels)
    shown = track(decoded, what, len(files), console=Console(stderr=True), disable=not sys.stderr.isatty())
    try:
        with partial.open("wb") as sink:
            for file, image in zip(files, shown, strict=True):
                if isinstance(image, np.ndarray):
                    sink.write(image.tobytes())
                    labels.append(file.label)
                elif on_corrupt == "raise":
                    raise SettingError(f"{file.path} {image}; data.on_corrupt=skip leaves such files out")
                else:
                    skipped.append(str(file.path))
            sink.flush()
            os.fsync(sink.fileno())
        partial.replace(pixels)
    finally:
        partial.unlink(missing_ok=True)
    facts: dict[str, list[Any]] = {"labels": labels, "skipped": skipped}
    whole = about.with_suffix(".partial-json")
    whole.write_text(json.dumps(facts), encoding="utf-8")
    whole.replace(about)
    return facts


def decode_all(files: Sequence[Labelled], size: int, channels: int) -> Iterator[np.ndarray | str]:
    """Each file's image, or why it has none, in order; all cores decode (Pillow lets go of Python's lock for that)."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(files), AT_ONCE):
            ahead = files[start : start + AT_ONCE]
            tasks = [ahead[first : first + A_TASK] for first in range(0, len(ahead), A_TASK)]
            for images in pool.map(lambda task: [decode(file.path, size, channels) for file in task], tasks):
                yield from images


def decode(path: Path, size: int, channels: int) -> np.ndarray | str:
    """One image as uint8 [C, size, size], upright, resized without regard to its aspect; or why it cannot be read."""
    mode = "L" if channels == 1 else "RGB"
    try:
        with Image.open(path) as image:
            image.draft(mode, (2 * size, 2 * size))  # a JPEG much larger than asked for is decoded smaller
            upright = eight_bits(ImageOps.exif_transpose(image))
            resized = upright.convert(mode).resize((size, size), Image.Resampling.BILINEAR)
    except UnidentifiedImageError:
        return "is no image"
    except Exception as error:  # each format's decoder has its own ways to fail
        return f"cannot be decoded ({error})"
    array = np.asarray(resized)
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def eight_bits(image: Image.Image) -> Image.Image:
    """The image in a mode that Pillow converts without loss of meaning: it would cut off all shades above 255."""
    if image.mode in ("P", "PA", "LA"):
        return image.convert("RGBA")
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels, whose range is not known: save it with 8 or 16 bits")
    return image

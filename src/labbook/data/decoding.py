"""Image files to square 8-bit images, as a person sees them.

Damaged metadata is no reason to reject an image. Only the orientation is used, if it can be read.
"""

import hashlib
import stat
import warnings
from contextlib import suppress
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from labbook.data.file_metadata import END_OF_JPEG, START_OF_JPEG, without_metadata
from labbook.data.image_depth import Range, flatten_transparency
from labbook.data.image_formats import supported_formats, unknown_format_message
from labbook.errors import printable

LARGEST = 2**30  # bytes of a file: each thread reads one into memory
MOST_PIXELS = 2**28  # of an image in memory; a JPEG with more is decoded smaller
MOST_JPEG_PIXELS = 2**30  # of a JPEG that is decoded smaller
# Possible continuations of the pixels of a JPEG: nothing, opposite bits, and bits for every kind of coefficient.
TAILS = (
    b"",
    b"\x00" * 512,
    b"\xff\x00" * 512,
    *(hashlib.shake_128(seed).digest(512).replace(b"\xff", b"") for seed in (b"0", b"1", b"2")),
)
SEVERAL = ("GIF", "TIFF", "WEBP", "PNG", "AVIF")  # formats of animations and pages; a JPEG has previews

# About files that Pillow can read, such as large ones; `Decoded.problem` is about others.
warnings.filterwarnings("ignore", module=r"PIL\.")

# To a square: the aspect ratio changes, the center is cropped, or black is added.
Resize = Literal["squash", "crop", "pad"]


class Decoding(NamedTuple):
    """The settings that decide the pixels of an image."""

    size: int  # pixels, height and width
    channels: int  # 1 or 3
    range: Range = None  # black and white of pixels with more than 8 bits
    resize: Resize = "squash"
    centre: int = 0  # pixels of a side to crop from the center of the resized image; 0: all

    @property
    def side(self) -> int:
        return self.centre or self.size


class Decoded(NamedTuple):
    """The result of decoding a file."""

    image: np.ndarray | None  # uint8 [C, side, side]
    problem: str = ""  # why there is no image
    digest: str = ""  # of the file's bytes
    remark: str = ""  # a note on the image
    transient: bool = False  # the problem is not in the file: access, disk, memory


def decode(path: Path, how: Decoding) -> Decoded:
    """An image as uint8 [C, side, side], upright and resized, or the reason why it cannot be read."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would block
            return Decoded(None, "is no file")
        if status.st_size > LARGEST:
            return Decoded(None, "is larger than a GB")
        content = path.read_bytes()
    except (OSError, MemoryError) as error:
        return Decoded(None, printable(f"cannot be read ({error})"), transient=True)
    return decode_bytes(content, how)


def decode_bytes(content: bytes, how: Decoding) -> Decoded:
    digest = bytes_digest(content)
    try:
        image, remark = load_image(content, how)
    except UnidentifiedImageError:
        return Decoded(None, unknown_format_message(content), digest)
    except MemoryError:
        return Decoded(None, "cannot be decoded (out of memory)", digest, transient=True)
    except Exception as error:  # each decoder has its own exceptions
        return Decoded(None, printable(f"cannot be decoded ({error})"), digest)
    array = np.asarray(image)
    array = array[None] if how.channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
    return Decoded(array, "", digest, remark)


def bytes_digest(content: bytes) -> str:
    return hashlib.sha256(content, usedforsecurity=False).hexdigest()[:32]


def load_image(content: bytes, how: Decoding) -> tuple[Image.Image, str]:
    """The image in a file, in mode L or RGB and resized, and a note on it.

    Raises:
        UnidentifiedImageError: an unknown format.
        Exception: any exception of the decoder.
    """
    try:
        return load_complete_image(content, how)
    except MemoryError:
        raise
    except Exception:
        with suppress(Exception):
            if bare := without_metadata(content):
                return load_complete_image(bare, how)
        raise


def load_complete_image(content: bytes, how: Decoding) -> tuple[Image.Image, str]:
    """As `load_image`, also for a JPEG without end marker that has all pixels."""
    try:
        return load_faultless_image(content, how)
    except OSError as error:
        damaged = error.errno is None and content.startswith(START_OF_JPEG)
        if damaged and (ended := load_unended_jpeg(content, how)):
            return ended
        raise


def load_unended_jpeg(content: bytes, how: Decoding) -> tuple[Image.Image, str] | None:
    """As `load_image`, for a JPEG without end marker; None if pixels are missing.

    What a decoder fills in for missing pixels depends on the following bytes. So all pixels are there if the image is
    the same with each of `TAILS`.
    """
    data = content.rstrip(b"\xff")  # half of a marker: with the tail it would be another marker
    try:
        first, *others = (load_faultless_image(data + tail + END_OF_JPEG, how) for tail in TAILS)
    except OSError:
        return None
    return None if any(image.tobytes() != first[0].tobytes() for image, _ in others) else first


def load_faultless_image(content: bytes, how: Decoding) -> tuple[Image.Image, str]:
    """As `load_image`, for files without errors."""
    mode = "L" if how.channels == 1 else "RGB"
    with open_image(content) as image:
        remarks = ["several images: the first is used"] if has_several_frames(image) else []
        whole = prod(image.size)
        image.draft(mode, (2 * how.size, 2 * how.size))  # a much larger JPEG is decoded smaller
        most = MOST_PIXELS if image.info.get("progressive") else MOST_JPEG_PIXELS  # the decoder keeps all of it
        if prod(image.size) > MOST_PIXELS or whole > most:
            raise ValueError(f"{whole:,} pixels are too many: at most {MOST_PIXELS:,}")
        shown, remark = flatten_transparency(image, how.range)
        remarks += [remark] if remark else []
        resized = to_square(shown.convert(mode), how)
    return resized, "; ".join(remarks)


def to_square(image: Image.Image, how: Decoding) -> Image.Image:
    size, method = (how.size, how.size), Image.Resampling.BILINEAR
    if how.resize == "crop":
        resized = ImageOps.fit(image, size, method)
    elif how.resize == "pad":
        resized = ImageOps.pad(image, size, method)
    else:
        resized = image.resize(size, method)
    edge = (how.size - how.side) // 2
    return resized.crop((edge, edge, edge + how.side, edge + how.side)) if how.centre else resized


def open_image(content: bytes) -> Image.Image:
    """Open an image; also a JPEG with more pixels than Pillow allows, because it can be decoded smaller."""
    try:
        return Image.open(BytesIO(content), formats=supported_formats())
    except Image.DecompressionBombError:
        if not content.startswith(START_OF_JPEG):
            raise
        return JpegImageFile(BytesIO(content))


def has_several_frames(image: Image.Image) -> bool:
    try:
        return image.format in SEVERAL and bool(getattr(image, "is_animated", False))
    except Exception:  # damage after the first image
        return False

"""An image file to 8-bit pixels of a square size, as a person would see it.

What a file says beside its pixels never costs the picture: of metadata only the orientation is used, where it can be
read.
"""

import hashlib
import stat
import warnings
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

LARGEST = 2**30  # bytes of a file: it is read whole, by as many threads as there are cores
MOST_PIXELS = 2**28  # of an image in memory; a JPEG with more is decoded smaller
MOST_JPEG_PIXELS = 2**30  # of one that is decoded smaller
# What a JPEG's pixels could go on with: nothing, opposite bits, and bits that change every kind of coefficient.
TAILS = (
    b"",
    b"\x00" * 512,
    b"\xff\x00" * 512,
    *(hashlib.shake_128(seed).digest(512).replace(b"\xff", b"") for seed in (b"0", b"1", b"2")),
)
SEVERAL = ("GIF", "TIFF", "WEBP", "PNG", "AVIF")  # formats of animations and pages; of a JPEG the others are previews

# Of a file that Pillow reads nonetheless, such as a large one; of one that it does not, `Decoded.problem` tells.
warnings.filterwarnings("ignore", module=r"PIL\.")

# To a square: squashed without regard to the aspect, its middle cut out, or with black beside it.
Resize = Literal["squash", "crop", "pad"]


class Decoding(NamedTuple):
    """How files are decoded: what decides their pixels."""

    size: int  # pixels, height and width
    channels: int  # 1 or 3
    range: Range = None  # of pixels of more than 8 bits: what becomes black and white
    resize: Resize = "squash"
    centre: int = 0  # pixels of a side that are cut out of the middle of the resized image; 0: all

    @property
    def side(self) -> int:
        """Pixels of a side in the end."""
        return self.centre or self.size


class Decoded(NamedTuple):
    """What became of a file."""

    image: np.ndarray | None  # uint8 [C, side, side]
    problem: str = ""  # why there is none
    digest: str = ""  # of the file's bytes
    remark: str = ""  # what a user should know of the image
    transient: bool = False  # the problem is not in the file: access, disk, memory


def decode(path: Path, how: Decoding) -> Decoded:
    """One image as uint8 [C, side, side], upright, resized; or why it cannot be read."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            return Decoded(None, "is no file")
        if status.st_size > LARGEST:
            return Decoded(None, "is larger than a GB")
        content = path.read_bytes()
    except (OSError, MemoryError) as error:
        return Decoded(None, printable(f"cannot be read ({error})"), transient=True)
    return decode_bytes(content, how)


def decode_bytes(content: bytes, how: Decoding) -> Decoded:
    """The same, of a file's bytes."""
    digest = bytes_digest(content)
    try:
        image, remark = load_image(content, how)
    except UnidentifiedImageError:
        return Decoded(None, unknown_format_message(content), digest)
    except MemoryError:
        return Decoded(None, "cannot be decoded (out of memory)", digest, transient=True)
    except Exception as error:  # each format's decoder has its own ways to fail
        return Decoded(None, printable(f"cannot be decoded ({error})"), digest)
    array = np.asarray(image)
    array = array[None] if how.channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
    return Decoded(array, "", digest, remark)


def file_digest(path: Path) -> str:
    """Of a file's bytes, as `decode` gives it; empty where it cannot be read."""
    try:
        return bytes_digest(path.read_bytes()) if path.stat().st_size <= LARGEST else ""
    except OSError:
        return ""


def bytes_digest(content: bytes) -> str:
    """32 hexadecimal digits of their SHA-256."""
    return hashlib.sha256(content, usedforsecurity=False).hexdigest()[:32]


def load_image(content: bytes, how: Decoding) -> tuple[Image.Image, str]:
    """The image in a file's bytes, in mode L or RGB and of the size asked for, and what is to be remarked.

    Raises:
        UnidentifiedImageError: bytes of no known format.
        Exception: whatever the decoder of the format raises.
    """
    try:
        return load_complete_image(content, how)
    except MemoryError:
        raise
    except Exception:
        bare = without_metadata(content)
        if bare is None:
            raise
        try:
            return load_complete_image(bare, how)
        except Exception:
            pass
        raise


def load_complete_image(content: bytes, how: Decoding) -> tuple[Image.Image, str]:
    """As `load_image`; of a JPEG whose end is missing if all of its pixels are there."""
    try:
        return load_faultless_image(content, how)
    except OSError as error:
        if error.errno is not None or not content.startswith(START_OF_JPEG):
            raise
        if (ended := load_unended_jpeg(content, how)) is None:
            raise
        return ended


def load_unended_jpeg(content: bytes, how: Decoding) -> tuple[Image.Image, str] | None:
    """As `load_image`, of a JPEG without its end; None if pixels are missing.

    What a decoder makes up for missing pixels depends on what follows. So they are all there if the image is the same
    with each of `TAILS`.
    """
    data = content.rstrip(b"\xff")  # the first half of a marker, with which the tail would make another one
    try:
        first, *others = (load_faultless_image(data + tail + END_OF_JPEG, how) for tail in TAILS)
    except OSError:
        return None
    return None if any(image.tobytes() != first[0].tobytes() for image, _ in others) else first


def load_faultless_image(content: bytes, how: Decoding) -> tuple[Image.Image, str]:
    """As `load_image`, of bytes without fault."""
    mode = "L" if how.channels == 1 else "RGB"
    with open_image(content) as image:
        remarks = ["several images, of which the first is used"] if has_several_frames(image) else []
        whole = prod(image.size)
        image.draft(mode, (2 * how.size, 2 * how.size))  # a JPEG much larger than asked for is decoded smaller
        most = MOST_PIXELS if image.info.get("progressive") else MOST_JPEG_PIXELS  # it is held whole to be decoded
        if prod(image.size) > MOST_PIXELS or whole > most:
            raise ValueError(f"{whole:,} pixels are too many: at most {MOST_PIXELS:,}")
        shown, remark = flatten_transparency(image, how.range)
        remarks += [remark] if remark else []
        resized = to_square(shown.convert(mode), how)
    return resized, "; ".join(remarks)


def to_square(image: Image.Image, how: Decoding) -> Image.Image:
    """The image of the size asked for, of any aspect before."""
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
    """The image of some bytes; a JPEG also with more pixels than Pillow opens, as it can be decoded smaller."""
    try:
        return Image.open(BytesIO(content), formats=supported_formats())
    except Image.DecompressionBombError:
        if not content.startswith(START_OF_JPEG):
            raise
        return JpegImageFile(BytesIO(content))


def has_several_frames(image: Image.Image) -> bool:
    """Whether a file holds an animation or pages."""
    try:
        return image.format in SEVERAL and bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first picture is damaged, which is nothing to that
        return False

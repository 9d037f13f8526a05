"""An image file to 8-bit pixels of a square size, as a person would see it.

What a file says beside its pixels never costs the picture: of metadata only the orientation is used, where it can be
read.
"""

import hashlib
import stat
import warnings
from collections.abc import Mapping
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from labbook.data.file_metadata import END_OF_JPEG, ORIENTATION, START_OF_JPEG, orientation_of, without_metadata
from labbook.data.image_formats import supported_formats, unknown_format_message
from labbook.errors import printable

LARGEST = 2**30  # bytes of a file: it is read whole, by as many threads as there are cores
MOST_PIXELS = 2**28  # of an image in memory; a JPEG with more is decoded smaller
MOST_JPEG_PIXELS = 2**30  # of one that is decoded smaller
BITS = (8, 10, 12, 14, 16)  # that cameras and scanners store in 16
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SEVERAL = ("GIF", "TIFF", "WEBP", "PNG", "AVIF")  # formats of animations and pages; of a JPEG the others are previews
UNUSED_ALPHA = ("BMP", "DIB", "TGA", "ICO")  # formats in which many programs write a fourth channel of zeros

# Of a file that Pillow reads nonetheless, such as a large one; of one that it does not, `Decoded.problem` tells.
warnings.filterwarnings("ignore", module=r"PIL\.")

Range = Literal["auto"] | tuple[float, float] | None
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
    """As `load_image`; of a JPEG whose end is missing if all of its pixels are there.

    What a decoder makes up for missing pixels depends on what follows. So they are all there if two endings, whose
    bits are opposite, give the same image.
    """
    try:
        return load_faultless_image(content, how)
    except OSError as error:
        if error.errno is not None or not content.startswith(START_OF_JPEG):
            raise
        ended = [
            load_faultless_image(content + tail + END_OF_JPEG, how) for tail in (b"", b"\x00" * 512, b"\xff\x00" * 512)
        ]
        if any(image.tobytes() != ended[0][0].tobytes() for image, _ in ended[1:]):
            raise
        return ended[0]


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


# Orientation ----------------------------------------------------------------------------------------------------------


def apply_orientation(image: Image.Image) -> Image.Image:
    """The image, loaded, as its camera was held."""
    if isinstance(image, TiffImageFile):
        turn = UPRIGHT.get(exif_orientation(image))
        image.getexif = Image.Exif  # type: ignore[method-assign]  # all of which it would read while loading
        image.load()
    else:
        image.load()
        turn = UPRIGHT.get(exif_orientation(image))
    return image if turn is None else image.transpose(turn)


def exif_orientation(image: Image.Image) -> int:
    """As Exif numbers it; 1 where that cannot be read."""
    exif = image.info.get("exif")
    if isinstance(exif, bytes) and (told := orientation_of(exif)):
        return told
    try:
        value: Any = image.getexif().get(ORIENTATION, 1)  # also from XMP
        return int(value[0] if isinstance(value, (bytes, tuple)) else value)
    except Exception:  # each kind of damage has its own error
        return 1


# Depth and transparency -----------------------------------------------------------------------------------------------


def flatten_transparency(image: Image.Image, span: Range) -> tuple[Image.Image, str]:
    """The image, upright, on white where it is transparent, with 8 bits; and what is to be remarked."""
    form, raw = image.format, raw_mode(image)
    tags: Mapping[int, Any] = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    mend_transparency(image, raw)
    clear = image.info.get("transparency")
    image, remark = apply_orientation(image), ""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        bits = 16 if image.mode.startswith("I;16") or form == "PPM" else 32
        if bits == 16 and tags:
            bits = int(tags.get(BITSPERSAMPLE, (16,))[0])
        shades = np.asarray(image)
        grey, remark = to_8_bits(shades, bits, span)
        if tags.get(PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero
            grey = 255 - grey
        if isinstance(clear, int):
            grey = np.where(shades == clear, np.uint8(255), grey)
        return Image.fromarray(grey), remark
    if raw.endswith((";16B", ";16L", ";16N")):  # in colour, of which Pillow reads the upper 8 bits
        image, remark = stretch_upper_bits(image, span)
    if not image.has_transparency_data:
        return image, remark
    shown = image.convert("RGBA")
    if shown.getchannel("A").getextrema()[1] == 0:
        if form in UNUSED_ALPHA:
            return shown.convert("RGB"), remark
        remark = "; ".join(filter(None, (remark, "only transparent pixels, which become white")))
    return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown), remark


def raw_mode(image: Image.Image) -> str:
    """How pixels are stored in the file, such as RGB;16B, where Pillow says so."""
    tiles: Any = getattr(image, "tile", None)
    args = tiles[0][3] if tiles else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def mend_transparency(image: Image.Image, raw: str) -> None:
    """Scale the transparent colour of a PNG as Pillow scales pixels of other than 8 bits."""
    clear = image.info.get("transparency")
    if image.format != "PNG" or clear is None:
        return
    if raw in ("L;2", "L;4") and isinstance(clear, int):
        image.info["transparency"] = clear * {"L;2": 85, "L;4": 17}[raw]
    elif raw == "RGB;16B" and isinstance(clear, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def to_8_bits(shades: np.ndarray, bits: int, span: Range) -> tuple[np.ndarray, str]:
    """Grey pixels of so many bits with 8, uint8 [H, W]; and a remark where few of the bits are used.

    Raises:
        ValueError: 32 bits, of which nothing says what is white.
    """
    remark = ""
    if isinstance(span, str) or span is None:
        if bits == 32:
            raise ValueError(
                "32-bit pixels, whose range is unknown: use data.range=[BLACK,WHITE], or save it with 8 or 16 bits"
            )
        span, remark = value_range(int(shades.max(initial=0)), bits, span == "auto")
    low, high = span
    if span == (0, 65535):
        return (shades >> 8).astype(np.uint8), remark
    scaled = np.nan_to_num((shades.astype(np.float32) - low) * (255 / (high - low)))
    return scaled.round().clip(0, 255).astype(np.uint8), remark


def value_range(brightest: int, bits: int, automatic: bool) -> tuple[tuple[float, float], str]:
    """What is black and white in an image whose file has so many bits, and a remark where it does not use them."""
    used = next((number for number in BITS if brightest < 2**number), bits)
    if used >= min(bits, 15):
        return (0, 2**bits - 1), ""
    if automatic:
        return (0, 2**used - 1), f"{bits}-bit pixels read as {used} bits by data.range=auto"
    return (0, 2**bits - 1), (
        f"{bits}-bit pixels of which only {used} bits are used, so the image is dark: use"
        f" data.range=[0,{2**used - 1}], or auto"
    )


def stretch_upper_bits(image: Image.Image, span: Range) -> tuple[Image.Image, str]:
    """A colour image of 16 bits, of which the upper 8 were read, as its range says; and what is to be remarked."""
    extrema: Any = image.convert("RGB").getextrema()
    if isinstance(span, str) or span is None:
        (low, high), remark = value_range(max(high for _, high in extrema) << 8, 16, span == "auto")
    else:
        (low, high), remark = span, "16-bit colour, of which data.range has the upper 8 bits only"
    if (low, high) == (0, 65535):
        return image, remark
    table = [min(max(round((value * 257 - low) * 255 / (high - low)), 0), 255) for value in range(256)]
    bands = image.split()
    colours = [band.point(table) for band in bands[:3]]
    return Image.merge(image.mode, (*colours, *bands[3:])), remark

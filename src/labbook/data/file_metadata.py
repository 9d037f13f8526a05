"""Image files without metadata, for files whose metadata a decoder cannot read; and their orientation."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

START_OF_JPEG, END_OF_JPEG = b"\xff\xd8", b"\xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n"
TIFF = {b"II*\0": "<", b"MM\0*": ">"}  # with the byte order
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # chunks of pixels
EXIF = b"Exif\0\0"  # before the Exif data in a JPEG
ORIENTATION = 0x112  # a tag of Exif, and of TIFF
INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # types of tags, with the format of struct
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
WEBP_METADATA = (b"EXIF", b"XMP ", b"ICCP")
SIZE_OF_JFIF = 16  # bytes, with its length, at least
# Tags of TIFF that decide pixels: shape, compression, place in the file, colours.
TIFF_PIXELS = {
    254, 256, 257, 258, 259, 262, 266, 273, ORIENTATION, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325,
    332, 338, 339, 347, 529, 530, 531, 532,
}  # fmt: skip


def without_metadata(content: bytes) -> bytes | None:
    """A JPEG, PNG, TIFF or WebP file with the orientation as its only metadata; None for other files."""
    if content.startswith(START_OF_JPEG):
        return b"".join(strip_jpeg(content))
    if content.startswith(PNG):
        return b"".join(strip_png(content))
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        chunks = b"".join(strip_webp(content))
        return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
    if order := TIFF.get(content[:4]):
        return strip_tiff(content, order)
    return None


def strip_png(content: bytes) -> Iterator[bytes]:
    """The parts of a PNG to keep; a chunk has length, type, data and checksum."""
    yield PNG
    place = len(PNG)
    while place + 12 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        chunk = content[place : place + 12 + length]
        if kind in PNG_PIXELS:
            yield chunk
        elif kind == b"eXIf" and (exif := only_orientation(chunk[8:-4])):
            yield struct.pack(">I", len(exif)) + kind + exif + struct.pack(">I", zlib.crc32(kind + exif))
        place += 12 + length


def strip_jpeg(content: bytes) -> Iterator[bytes]:
    """The parts of a JPEG to keep: no comments, and of the application segments only JFIF's and Adobe's."""
    yield START_OF_JPEG
    place = len(START_OF_JPEG)
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker, length = struct.unpack(">BH", content[place + 1 : place + 4])
        if marker == 0xDA:  # the pixels begin
            break
        segment = content[place : place + 2 + length]
        if marker == 0xE1 and (exif := only_orientation(segment[4:])):
            yield struct.pack(">HH", 0xFFE1, 8 + len(exif)) + EXIF + exif
        elif marker == 0xE0 and length < SIZE_OF_JFIF:
            pass  # which no decoder reads
        elif marker == 0xEE or not (0xE1 <= marker <= 0xEF or marker == 0xFE):
            yield segment
        place += 2 + length
    yield content[place:]


def strip_webp(content: bytes) -> Iterator[bytes]:
    """The chunks of a WebP to keep; a chunk has type, length and data, padded to an even length."""
    place = 12
    while place + 8 <= len(content):
        kind, length = struct.unpack("<4sI", content[place : place + 8])
        if kind not in WEBP_METADATA:
            yield content[place : place + 8 + length + length % 2]
        place += 8 + length + length % 2


def strip_tiff(content: bytes, order: str) -> bytes | None:
    """A TIFF file with only the tags of pixels in its first directory; None if it cannot be read."""
    try:
        (first,) = struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}H", content, first)
        entries = [content[place : place + 12] for place in range(first + 2, first + 2 + 12 * count, 12)]
        kept = [entry for entry in entries if struct.unpack_from(f"{order}H", entry)[0] in TIFF_PIXELS]
    except struct.error:  # too short
        return None
    last = bytes(4)  # there is no further directory
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + last
    return content[:first] + directory + content[first + len(directory) :]


def orientation_of(exif: bytes) -> int | None:
    """The orientation in Exif data, of any integer type; None if there is none."""
    tiff = exif.removeprefix(EXIF)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for place in range(first + 2, first + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
            if tag == ORIENTATION:
                form = INTEGERS.get(kind)
                return int(struct.unpack_from(f"{order}{form}", tiff, place + 8)[0]) if form else None
    except struct.error:  # another byte order, or too short
        pass
    return None


def only_orientation(exif: bytes) -> bytes | None:
    """Exif data with the orientation alone; None if there is none."""
    told = orientation_of(exif)
    if told not in range(1, 9):
        return None
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, ORIENTATION, 3, 1, told, 0, 0)  # one entry, a short


def apply_orientation(image: Image.Image) -> Image.Image:
    """The image, loaded and upright."""
    if isinstance(image, TiffImageFile):
        turn = UPRIGHT.get(exif_orientation(image))
        image.getexif = Image.Exif  # type: ignore[method-assign]  # load() would read all of it
        image.load()
    else:
        image.load()
        turn = UPRIGHT.get(exif_orientation(image))
    return image if turn is None else image.transpose(turn)


def exif_orientation(image: Image.Image) -> int:
    """The Exif orientation, 1 to 8; 1 if it cannot be read."""
    exif = image.info.get("exif")
    if isinstance(exif, bytes) and (found := orientation_of(exif)):
        return found
    try:
        value: Any = image.getexif().get(ORIENTATION, 1)  # also from XMP
        return int(value[0] if isinstance(value, (bytes, tuple)) else value)
    except Exception:  # each kind of damage has its own exception
        return 1

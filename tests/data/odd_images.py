"""Image files as cameras, scanners and old programs write them: of odd depths and with odd metadata."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 16


def gradient(top: int) -> np.ndarray:
    """From 0 to `top`, row by row, uint16 [16, 16]."""
    return np.linspace(0, top, SIDE * SIDE).reshape(SIDE, SIDE).round().astype(np.uint16)


def scene() -> Image.Image:
    """Four quarters of different colours, so that it shows which way up it is."""
    image = Image.new("RGB", (SIDE, SIDE), (20, 20, 20))
    half = SIDE // 2
    for colour, corner in (((230, 20, 20), (half, 0)), ((20, 230, 20), (0, half)), ((120, 120, 120), (half, half))):
        image.paste(colour, (*corner, corner[0] + half, corner[1] + half))
    return image


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    """Of a PNG file; with a wrong checksum if one is given."""
    value = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", value)


def png(path: Path, samples: np.ndarray, depth: int, colour: int, *extra: bytes) -> Path:
    """A PNG file of packed rows, uint8 [H, bytes], and of other chunks before its pixels."""
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", SIDE, SIDE, depth, colour, 0, 0, 0)
    whole = chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(whole))
    return path


def deep_png(path: Path, shades: np.ndarray, *extra: bytes) -> Path:
    """A PNG file of 16 bits, grey [H, W] or colour [H, W, 3]."""
    colour = 2 if shades.ndim == 3 else 0
    return png(path, shades.astype(">u2").reshape(SIDE, -1).view(np.uint8), 16, colour, *extra)


def deep_tiff(path: Path, shades: np.ndarray, photometric: int = 1, bits: int = 16, **tags: tuple[int, int]) -> Path:
    """An uncompressed TIFF file of grey pixels, 12, 16 or 32 bits; other tags by number, as (type, value)."""
    if bits == 12:
        first, second = shades.reshape(-1, 2).T.astype(np.uint32)
        pixels = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1).astype(np.uint8).tobytes()
    else:
        pixels = shades.astype(f"<u{bits // 8}").tobytes()
    entries = {
        256: (3, SIDE), 257: (3, SIDE), 258: (3, bits), 259: (3, 1), 262: (3, photometric), 273: (4, 8), 277: (3, 1),
        278: (3, SIDE), 279: (4, len(pixels)), **{int(name.removeprefix("tag")): value for name, value in tags.items()},
    }  # fmt: skip
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(entries.items()))
    where = struct.pack("<4sI", b"II*\0", 8 + len(pixels))
    path.write_bytes(where + pixels + struct.pack("<H", len(entries)) + directory + bytes(4))
    return path


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """Exif of entries (tag, type, count, four bytes), whatever they are."""
    listed = b"".join(struct.pack("<HHI4s", tag, kind, count, value) for tag, kind, count, value in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + listed + bytes(4)


# Metadata that Pillow does not read, or that has an orientation of 6 in an odd form.
TURNED = {
    "a byte": exif((0x112, 1, 1, b"\x06\0\0\0")),
    "a long": exif((0x112, 4, 1, b"\x06\0\0\0")),
    "two shorts": exif((0x112, 3, 2, b"\x06\0\x01\0")),
    "a float as date": exif((0x112, 3, 1, b"\x06\0\0\0"), (0x132, 11, 1, struct.pack("<f", 2.5))),
    "a rational from nowhere": exif((0x112, 3, 1, b"\x06\0\0\0"), (0x9201, 10, 1, b"\xff\xff\xff\x7f")),
    "an unknown type": exif((0x112, 3, 1, b"\x06\0\0\0"), (0x132, 99, 7, b"\xff\xff\xff\x7f")),
}
UNREADABLE = {
    "garbage": b"Exif\0\0" + b"\xde\xad\xbe\xef" * 9,
    "cut": exif((0x112, 3, 1, b"\x06\0\0\0"))[:12],
    "text as orientation": exif((0x112, 2, 4, b"six\0")),
    "orientation 77": exif((0x112, 3, 1, b"\x4d\0\0\0")),
    "nothing": b"Exif\0\0",
}


def with_exif(path: Path, data: bytes, **options: Any) -> Path:
    """The scene with some Exif, in the format that the name asks for."""
    scene().save(path, exif=data if path.suffix != ".png" else data.removeprefix(b"Exif\0\0"), **options)
    return path

"""The supported image formats. Imports no torch."""

from functools import cache
from importlib.util import find_spec

from PIL import Image

from labbook.errors import missing_package_message

# Pillow reads some other formats with programs of the system (EPS with Ghostscript), for any file name.
FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO", "JPEG2000", "PPM", "TGA", "PCX", "ICO", "DIB", "SGI",
    "HEIF",
)  # fmt: skip
HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))  # brands, ISO/IEC 23008-12


@cache
def supported_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow can read; HEIF needs the extra `photos`."""
    Image.init()
    if find_spec("pillow_heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def unknown_format_message(content: bytes) -> str:
    """The message for a file of unknown format, after the file name."""
    size = int.from_bytes(content[:4], "big") if content[4:8] == b"ftyp" else 0
    brands = {content[start : start + 4] for start in (8, *range(16, min(size, 256), 4))}
    if size and not HEIC.isdisjoint(brands):
        if "HEIF" in supported_formats():
            return "is HEIC, and damaged"
        return f"is HEIC, and {missing_package_message('its reader', 'photos')}; or save it as JPEG"
    return "is no image"

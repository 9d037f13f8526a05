"""The formats of images that are read. Imports no torch."""

from functools import cache

from PIL import Image

# Pillow hands some of the others to programs of the system (EPS to Ghostscript), whatever the file's name.
FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO", "JPEG2000", "PPM", "TGA", "PCX", "ICO", "DIB", "SGI",
)  # fmt: skip


@cache
def formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@cache
def endings() -> frozenset[str]:
    """How the names of such files end, such as .jpg, in small letters."""
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in formats())

"""The supported image formats. Imports no torch."""

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from labbook.data.class_folders import is_hidden_name
from labbook.errors import missing_package_message

# Pillow reads some other formats with programs of the system (EPS with Ghostscript), for any file name.
FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO", "JPEG2000", "PPM", "TGA", "PCX", "ICO", "DIB", "SGI",
    "HEIF",
)  # fmt: skip
HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))  # brands, ISO/IEC 23008-12
OF_PROGRAMS = {".ipynb_checkpoints", ".thumbnails", ".cache", ".git", ".trash", ".trashes", ".appledouble"}
HEIC_ENDINGS = frozenset((".heic", ".heif"))


@cache
def supported_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow can read; HEIF needs the extra `photos`."""
    Image.init()
    if find_spec("pillow_heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@cache
def file_endings() -> frozenset[str]:
    """Endings of file names in lower case, such as .jpg; also of HEIC without the extra."""
    supported_formats()
    return HEIC_ENDINGS | {
        ending for ending, name in Image.registered_extensions().items() if name in supported_formats()
    }


def loose_images(folder: Path) -> list[Path]:
    """The files directly in a folder that are images by their names, sorted."""
    known = Image.registered_extensions()
    inside = sorted(folder.iterdir())
    return [
        item for item in inside if item.suffix.lower() in known and not is_hidden_name(item.name) and not item.is_dir()
    ]


def images_in(folder: Path) -> bool:
    """Whether a folder itself contains a file with the name of an image."""
    if not folder.is_dir():
        return False
    known = Image.registered_extensions()
    with os.scandir(folder) as items:
        return any(Path(item.name).suffix.lower() in known and not is_hidden_name(item.name) for item in items)


def hidden_folders(folder: Path) -> list[Path]:
    """Folders of images whose names begin with a dot, except those that programs create."""
    inside = sorted(item for item in folder.iterdir() if item.name.startswith(".") and item.is_dir())
    return [item for item in inside if item.name.lower() not in OF_PROGRAMS and images_in(item)]


def unknown_format_message(content: bytes) -> str:
    """The message for a file of unknown format, after the file name."""
    size = int.from_bytes(content[:4], "big") if content[4:8] == b"ftyp" else 0
    brands = {content[start : start + 4] for start in (8, *range(16, min(size, 256), 4))}
    if size and not HEIC.isdisjoint(brands):
        if "HEIF" in supported_formats():
            return "is HEIC, and damaged"
        return f"is HEIC, and {missing_package_message('its reader', 'photos')}; or save it as JPEG"
    return "is no image"

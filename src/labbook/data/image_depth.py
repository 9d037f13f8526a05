"""Pixels of more than 8 bits and transparent pixels: to 8-bit images without transparency."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

from labbook.data.file_metadata import apply_orientation

BITS = (8, 10, 12, 14, 16)  # of cameras and scanners, stored in 16
UNUSED_ALPHA = ("BMP", "DIB", "TGA", "ICO")  # many programs write a fourth channel of zeros

Range = Literal["auto"] | tuple[float, float] | None


def flatten_transparency(image: Image.Image, span: Range) -> tuple[Image.Image, str]:
    """The image, upright, with 8 bits, on white instead of transparent; and a note on it."""
    form, raw = image.format, raw_mode(image)
    tags: Mapping[int, Any] = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    mend_transparency(image, raw)
    clear = image.info.get("transparency")
    image, remark = apply_orientation(image), ""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        bits = 16 if image.mode.startswith("I;16") or (form == "PPM" and image.mode == "I") else 32
        if bits == 16 and tags:
            bits = int(tags.get(BITSPERSAMPLE, (16,))[0])
        shades = np.asarray(image)
        if image.mode == "I" and tags and tags.get(SAMPLEFORMAT, (1,))[0] == 1:
            shades = shades.view(np.uint32)
        grey, remark = to_8_bits(shades, bits, span)
        if tags.get(PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero
            grey = 255 - grey
        if isinstance(clear, int):
            grey = np.where(shades == clear, np.uint8(255), grey)
        return Image.fromarray(grey), remark
    if raw.endswith((";16B", ";16L", ";16N")):  # color: Pillow reads the upper 8 bits
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
    """How the file stores pixels, such as RGB;16B."""
    tiles: Any = getattr(image, "tile", None)
    args = tiles[0][3] if tiles else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def mend_transparency(image: Image.Image, raw: str) -> None:
    """Scale the transparent color of a PNG like Pillow scales pixels with other than 8 bits."""
    clear = image.info.get("transparency")
    if image.format != "PNG" or clear is None:
        return
    if raw in ("L;2", "L;4") and isinstance(clear, int):
        image.info["transparency"] = clear * {"L;2": 85, "L;4": 17}[raw]
    elif raw == "RGB;16B" and isinstance(clear, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def to_8_bits(shades: np.ndarray, bits: int, span: Range) -> tuple[np.ndarray, str]:
    """Grey pixels with 8 bits, uint8 [H, W], and a note if few of the bits are used.

    Raises:
        ValueError: 32 bits with an unknown range.
    """
    remark = ""
    if isinstance(span, str) or span is None:
        if bits == 32:
            raise ValueError(
                "32-bit or signed pixels of unknown range: use data.range=[BLACK,WHITE], or save it with 8 or 16 bits"
            )
        span, remark = value_range(int(shades.max(initial=0)), bits, span == "auto")
    low, high = span
    if span == (0, 65535):
        return (shades >> 8).astype(np.uint8), remark
    scaled = np.nan_to_num((shades.astype(np.float32) - low) * (255 / (high - low)))
    return scaled.round().clip(0, 255).astype(np.uint8), remark


def value_range(brightest: int, bits: int, automatic: bool) -> tuple[tuple[float, float], str]:
    """Black and white of an image, and a note if it does not use all bits of the file."""
    used = next((number for number in BITS if brightest < 2**number), bits)
    if used >= min(bits, 15) or not brightest:  # an image that is black says nothing
        return (0, 2**bits - 1), ""
    if automatic:
        return (0, 2**used - 1), f"{bits}-bit pixels read as {used} bits by data.range=auto"
    return (0, 2**bits - 1), (
        f"{bits}-bit pixels that use only {used} bits, so the image is dark: use data.range=[0,{2**used - 1}], or auto"
    )


def stretch_upper_bits(image: Image.Image, span: Range) -> tuple[Image.Image, str]:
    """The range applied to the upper 8 bits of a 16-bit color image, and a note on it."""
    extrema: Any = image.convert("RGB").getextrema()
    if isinstance(span, str) or span is None:
        (low, high), remark = value_range(max(high for _, high in extrema) << 8, 16, span == "auto")
    else:
        (low, high), remark = span, "16-bit colour: data.range has its upper 8 bits only"
    if (low, high) == (0, 65535):
        return image, remark
    most = max(int(high) >> 8, 1)  # of the upper bits: it is white
    whole = (256 * value + 255 * value / most for value in range(256))
    table = [min(max(round((value - low) * 255 / (high - low)), 0), 255) for value in whole]
    bands = image.split()
    colours = [band.point(table) for band in bands[:3]]
    return Image.merge(image.mode, (*colours, *bands[3:])), remark

"""Images of 16 and 32 bits, with transparency, and files with several images."""

import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labbook.data.decoding import Decoding, decode
from labbook.data.image_formats import supported_formats
from labbook.inference.predict.request import file_endings
from tests.data.odd_images import SIDE, chunk, deep_png, deep_tiff, gradient, png, scene
from tests.data.test_decoding import BLUE, RED, colours, difference, pixels


def grey16(path: Path) -> tuple[Path, np.ndarray]:
    """By the name: a file with a gradient of 16 bits, and how it is seen."""
    shades = gradient(65535)
    seen = shades >> 8
    if path.suffix == ".pgm":
        path.write_bytes(b"P5 16 16 65535\n" + shades.astype(">u2").tobytes())
    elif path.suffix == ".tif":
        deep_tiff(path, 65535 - shades if path.stem == "white_is_zero" else shades, int(path.stem != "white_is_zero"))
    elif path.stem == "clear":
        clear = int(shades[3, 3])
        deep_png(path, shades, chunk(b"tRNS", struct.pack(">H", clear)))
        seen[3, 3] = 255
    else:
        deep_png(path, shades)
    return path, seen


@pytest.mark.parametrize("name", ["a.pgm", "a.png", "clear.png", "a.tif", "white_is_zero.tif"])
def test_grey_of_16_bits(name: str, tmp_path: Path) -> None:
    path, seen = grey16(tmp_path / name)
    assert difference(path, seen[..., None]) == 0
    assert decode(path, Decoding(SIDE, 1)).remark == ""


def test_a_transparent_shade_of_few_bits_or_of_16_in_colour(tmp_path: Path) -> None:
    """Pillow scales the pixels and not the shade."""
    samples = np.full((SIDE, SIDE // 2), 0x5A, np.uint8)  # 5, 10, 5, 10, ...
    path = png(tmp_path / "a.png", samples, 4, 0, chunk(b"tRNS", b"\0\x05"))
    assert colours(path)[0, :2, 0].tolist() == [255, 170]
    pink = np.zeros((SIDE, SIDE, 3), np.uint16) + np.array([60000, 300, 40000], np.uint16)
    path = deep_png(tmp_path / "b.png", pink, chunk(b"tRNS", struct.pack(">HHH", 60000, 300, 40000)))
    assert (colours(path) == 255).all()


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_few_bits_in_16_are_said_and_can_be_spread(bits: int, kind: str, tmp_path: Path) -> None:
    shades = gradient(2**bits - 1)
    path = (deep_png if kind == "png" else deep_tiff)(tmp_path / f"a.{kind}", shades)
    expected = (shades / (2**bits - 1) * 255)[..., None]
    assert difference(path, (shades >> 8)[..., None]) == 0
    assert decode(path, Decoding(SIDE, 3)).remark == (
        f"16-bit pixels that use only {bits} bits, so the image is dark: use data.range=[0,{2**bits - 1}], or auto"
    )
    assert difference(path, expected, range=(0, 2**bits - 1)) < 0.5
    assert decode(path, Decoding(SIDE, 3, (0, 2**bits - 1))).remark == ""
    assert difference(path, expected, range="auto") < 0.5
    assert decode(path, Decoding(SIDE, 3, "auto")).remark == (f"16-bit pixels read as {bits} bits by data.range=auto")


def test_a_file_may_say_that_it_has_12_bits(tmp_path: Path) -> None:
    shades = gradient(4095)
    path = deep_tiff(tmp_path / "a.tif", shades, bits=12)
    assert difference(path, (shades / 4095 * 255)[..., None]) < 0.5
    assert decode(path, Decoding(SIDE, 3)).remark == ""


def test_colours_of_16_bits(tmp_path: Path) -> None:
    full = np.stack([gradient(65535), gradient(30000), gradient(0)], -1)
    assert difference(deep_png(tmp_path / "a.png", full), full >> 8) == 0
    few = np.stack([gradient(4095), gradient(2000), gradient(0)], -1)
    path = deep_png(tmp_path / "b.png", few)
    assert "use only 12 bits" in decode(path, Decoding(SIDE, 3)).remark
    assert decode(deep_png(tmp_path / "black.png", 0 * few), Decoding(SIDE, 3)).remark == ""
    assert difference(path, few / 4095 * 255, range=(0, 4095)) < 9  # Pillow reads the upper 8 of the 16 bits
    assert "upper 8 bits only" in decode(path, Decoding(SIDE, 3, (0, 4095))).remark
    read = decode(path, Decoding(SIDE, 3, "auto")).image
    assert read is not None
    assert (int(read.min()), int(read.max())) == (0, 255)


def test_32_bits_need_a_range(tmp_path: Path) -> None:
    measured = np.linspace(-1, 3, 256, dtype=np.float32).reshape(16, 16)
    Image.fromarray(measured).save(tmp_path / "a.tif")
    assert decode(tmp_path / "a.tif", Decoding(SIDE, 3)).image is None
    assert difference(tmp_path / "a.tif", (measured.clip(0, 2) * 127.5)[..., None], range=(0, 2)) < 0.5
    (tmp_path / "a.pfm").write_bytes(b"Pf\n16 16\n-1.0\n" + measured[::-1].tobytes())
    assert "data.range=[BLACK,WHITE]" in decode(tmp_path / "a.pfm", Decoding(SIDE, 3)).problem
    counts = np.linspace(0, 2**32 - 1, 256).astype("<u4").reshape(16, 16)
    path = deep_tiff(tmp_path / "b.tif", counts, bits=32)
    assert difference(path, (counts / 2**32 * 255)[..., None], range=(0, 2**32 - 1)) < 1


def test_a_fourth_channel_of_zeros_hides_nothing_where_programs_write_it_so(tmp_path: Path) -> None:
    hidden = scene().convert("RGBA")
    hidden.putalpha(0)
    hidden.save(tmp_path / "a.tga")
    hidden.save(tmp_path / "a.png")
    assert difference(tmp_path / "a.tga", np.asarray(scene())) == 0
    assert (colours(tmp_path / "a.png") == 255).all()
    assert decode(tmp_path / "a.png", Decoding(SIDE, 3)).remark == ("only transparent pixels, which become white")


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_several_pictures_in_a_file_are_said(name: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE, RED)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    assert pixels(tmp_path / name, 2, 3)[:, 0, 0].tolist() == pytest.approx(RED, abs=2)
    assert decode(tmp_path / name, Decoding(8, 3)).remark == "several images: the first is used"
    frames[0].save(tmp_path / name)
    assert decode(tmp_path / name, Decoding(8, 3)).remark == ""


@pytest.mark.skipif(not find_spec("pillow_heif"), reason="needs the extra: make setup EXTRAS=photos")
def test_heic_is_read(tmp_path: Path) -> None:
    assert "HEIF" in supported_formats()
    Image.new("RGB", (64, 64), RED).save(tmp_path / "a.heic", quality=90)
    assert pixels(tmp_path / "a.heic", 8, 3)[:, 4, 4].tolist() == pytest.approx(RED, abs=5)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_is_called_so(brand: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.HEIC").write_bytes(struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1heic" + bytes(99))
    problem = decode(tmp_path / "a.HEIC", Decoding(8, 3)).problem
    if "HEIF" in supported_formats():
        assert problem == "is HEIC, and damaged"
    else:
        assert problem == (
            "is HEIC, and its reader is not installed: make setup EXTRAS=photos, or pip install -e '.[photos]'; or save"
            " it as JPEG"
        )
    assert ".heic" in file_endings()

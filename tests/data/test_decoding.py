"""Photographs are decoded as they were meant to be seen, and what is none is said."""

import hashlib
import os
import struct
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labbook.data import decoding
from labbook.data.decoding import Decoding, decode, decode_bytes
from labbook.data.file_metadata import without_metadata
from labbook.data.image_formats import file_endings, supported_formats
from tests.data import odd_images
from tests.data.odd_images import SIDE, chunk, deep_png, deep_tiff, gradient, png, scene, with_exif
from tests.data.samples import noise, photograph, truncate

RED, BLUE = (255, 0, 0), (0, 0, 255)


def pixels(path: Path, size: int, channels: int) -> np.ndarray:
    image, problem, digest, *_ = decode(path, Decoding(size, channels))
    assert image is not None, problem
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    assert image.dtype == np.uint8
    assert image.shape == (channels, size, size)
    assert image.flags.c_contiguous
    return image


def test_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    image = noise(7, 7, 3).numpy()
    Image.fromarray(image).save(tmp_path / "a.png")
    assert np.array_equal(pixels(tmp_path / "a.png", 7, 3), image.transpose(2, 0, 1))


def test_another_shape_becomes_a_square(tmp_path: Path) -> None:
    image = Image.fromarray(noise(9, 20, 3).numpy())
    image.save(tmp_path / "a.png")
    expected = np.asarray(image.resize((6, 6), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(pixels(tmp_path / "a.png", 6, 3), expected)


@pytest.mark.parametrize(
    ("mode", "colour", "name", "rgb"),
    [
        ("RGB", (200, 100, 50), "a.jpg", (200, 100, 50)),
        ("L", 80, "a.jpg", (80, 80, 80)),
        ("CMYK", (0, 255, 255, 0), "a.jpg", (255, 0, 0)),
        ("RGBA", (200, 100, 50, 255), "a.png", (200, 100, 50)),
        ("RGBA", (200, 100, 50, 128), "a.png", (227, 177, 152)),  # on white
        ("RGBA", (0, 0, 0, 0), "a.png", (255, 255, 255)),
        ("LA", (80, 128), "a.png", (167, 167, 167)),
        ("1", 1, "a.png", (255, 255, 255)),
        ("I;16", 80 * 256 + 17, "a.png", (80, 80, 80)),
        ("RGB", (200, 100, 50), "a.bmp", (200, 100, 50)),
        ("RGB", (200, 100, 50), "a.webp", (200, 100, 50)),
        ("RGB", (200, 100, 50), "a.gif", (200, 100, 50)),
        ("RGB", (200, 100, 50), "a.tif", (200, 100, 50)),
    ],
    ids=lambda item: str(item).replace(" ", ""),
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_image_shows_its_colour(
    mode: str, colour: Any, name: str, rgb: tuple[int, ...], channels: int, tmp_path: Path
) -> None:
    shown = pixels(photograph(tmp_path / name, colour, mode=mode), 4, channels)
    expected = rgb if channels == 3 else (round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]),)
    for channel, value in enumerate(expected):
        assert np.abs(shown[channel].astype(int) - value).max() <= 3


def test_a_palette_is_looked_up_and_not_taken_for_grey(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 250, 120, 10])
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "transparent.png", transparency=b"\x00\x80")
    assert pixels(tmp_path / "plain.png", 2, 3)[:, 0, 0].tolist() == [250, 120, 10]
    assert pixels(tmp_path / "transparent.png", 2, 3)[:, 0, 0].tolist() == [252, 187, 132]  # on white


@pytest.mark.parametrize(("orientation", "left_after"), [(1, RED), (3, BLUE), (6, None), (8, None)])
def test_a_photograph_is_turned_upright(orientation: int, left_after: Any, tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32), RED)
    image.paste(BLUE, (16, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    shown = pixels(tmp_path / "a.jpg", 32, 3)
    if left_after:
        assert np.abs(shown[:, 16, 4].astype(int) - left_after).max() < 20
    else:  # left becomes top where the camera was held with its right side down, and bottom the other way
        top = RED if orientation == 6 else BLUE
        assert np.abs(shown[:, 4, 16].astype(int) - top).max() < 20


def test_a_large_jpeg_decoded_smaller_looks_the_same(tmp_path: Path) -> None:
    image = Image.fromarray(noise(32, 32, 3).numpy()).resize((512, 512), Image.Resampling.NEAREST)
    image.save(tmp_path / "a.jpg", quality=95, subsampling=0)
    expected = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.abs(pixels(tmp_path / "a.jpg", 64, 3).astype(int) - expected).mean() < 5


def broken(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no images, and the beginning of what is said of them."""
    text = folder / "notes.jpg"
    text.write_text("bring milk")
    empty = folder / "empty.png"
    empty.touch()
    jpeg, png = folder / "cut.jpg", folder / "cut.png"
    for path in (jpeg, png):
        Image.fromarray(noise(40, 40, 3).numpy()).save(path)
        truncate(path, 0.6)
    measured = folder / "measured.tif"
    Image.fromarray(np.full((8, 8), 4000.0, np.float32)).save(measured)
    page = folder / "page.jpg"
    page.write_text("<!doctype html><title>404</title>")
    postscript = folder / "postscript.jpg"  # which Pillow would have drawn by a program of the system
    postscript.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    bomb = folder / "bomb.png"
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")]
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    )
    pipe, link, circle = folder / "pipe.jpg", folder / "link.jpg", folder / "circle.jpg"
    os.mkfifo(pipe)
    link.symlink_to(folder / "nothing.jpg")
    circle.symlink_to(circle)
    return {
        "page": (page, "is no image"),
        "postscript": (postscript, "is no image"),
        "bomb": (bomb, "cannot be decoded (Image size (3600000000 pixels) exceeds limit"),
        "folder": (folder, "is no file"),
        "pipe": (pipe, "is no file"),
        "link": (link, "cannot be read ([Errno 2]"),
        "circle": (circle, "cannot be read ([Errno 40]"),
        "text": (text, "is no image"),
        "empty": (empty, "is no image"),
        "jpeg": (jpeg, "cannot be decoded (image file is truncated"),
        "png": (png, "cannot be decoded (image file is truncated"),
        "32 bits": (
            measured,
            "cannot be decoded (32-bit or signed pixels, whose range is unknown: use data.range=[BLACK,WHITE], or",
        ),
        "gone": (folder / "gone.png", "cannot be read ([Errno 2]"),
    }


KINDS = [
    "page", "postscript", "bomb", "folder", "pipe", "link", "circle", "text", "empty", "jpeg", "png", "gone", "32 bits"
]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="makes pipes and knows the numbers of errors")
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_decoded_is_said(kind: str, tmp_path: Path) -> None:
    path, reason = broken(tmp_path)[kind]
    image, problem, *_ = decode(path, Decoding(8, 3))
    assert image is None
    assert problem.startswith(reason)


def test_a_file_that_must_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert decode(photograph(tmp_path / "a.png"), Decoding(8, 3)).problem.startswith(
        "cannot be read ([Errno 13] Permission"
    )


def test_a_file_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(2**40)  # which takes no room on the disk
    assert decode(tmp_path / "a.jpg", Decoding(8, 3)).problem == "is larger than a GB"


def test_a_decoder_may_fail_in_its_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("decoding of color planes failed")

    monkeypatch.setattr(decoding, "flatten_transparency", fail)
    said = decode(photograph(tmp_path / "a.png"), Decoding(8, 3)).problem
    assert said == "cannot be decoded (decoding of color planes failed)"


# Files that are not as they should be, but whose pixels are -----------------------------------------------------------


def colours(path: Path, **how: Any) -> np.ndarray:
    """The image in a file as [H, W, C], of its own size."""
    decoded = decode(path, Decoding(SIDE, 3, **how))
    assert decoded.image is not None, decoded.problem
    return decoded.image.transpose(1, 2, 0)


def difference(path: Path, expected: np.ndarray, **how: Any) -> float:
    return float(np.abs(colours(path, **how).astype(float) - expected).mean())


UPRIGHT = np.rot90(np.asarray(scene()), -1)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("kind", odd_images.TURNED)
def test_an_orientation_of_any_type_is_obeyed(kind: str, ending: str, tmp_path: Path) -> None:
    data = odd_images.TURNED[kind]
    if ending == ".tif":  # whose own directory has the orientation; Pillow writes no odd ones
        turned = deep_tiff(tmp_path / "a.tif", gradient(65535), tag274=(1 if kind == "a byte" else 3, 6))
        assert difference(turned, np.rot90(gradient(65535) >> 8, -1)[..., None]) == 0
        return
    options = {"quality": 95, "subsampling": 0} if ending == ".jpg" else {"lossless": True} if ending == ".webp" else {}
    assert difference(with_exif(tmp_path / f"a{ending}", data, **options), UPRIGHT) < 3


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("kind", odd_images.UNREADABLE)
def test_metadata_that_cannot_be_read_costs_no_picture(kind: str, ending: str, tmp_path: Path) -> None:
    options = {"quality": 95, "subsampling": 0} if ending == ".jpg" else {"lossless": True} if ending == ".webp" else {}
    odd = with_exif(tmp_path / f"a{ending}", odd_images.UNREADABLE[kind], **options)
    assert difference(odd, np.asarray(scene())) < 3


def test_a_tiff_whose_tags_cannot_be_read_is_decoded(tmp_path: Path) -> None:
    odd = deep_tiff(
        tmp_path / "a.tif", gradient(65535), tag306=(11, 5), tag34665=(4, 2**31), tag34853=(4, 3), tag274=(2, 99)
    )
    assert difference(odd, (gradient(65535) >> 8)[..., None]) == 0
    odd = deep_tiff(tmp_path / "a.tif", gradient(65535), tag270=(5, 2**31))  # behind the end, before other tags
    assert difference(odd, (gradient(65535) >> 8)[..., None]) == 0
    assert without_metadata(odd.read_bytes()[:-150]) is None


def test_a_jpeg_whose_jfif_is_too_short_is_decoded(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.jpg", quality=95, subsampling=0)
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[:2] + b"\xff\xe0\0\x06JFIF" + content[2:])
    assert difference(tmp_path / "a.jpg", np.asarray(scene())) < 3


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"tEXt", b"Comment\0hello", checksum=1),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21))),
        chunk(b"iTXt", b"Comment\0\x01\0\0\0" + zlib.compress(bytes(2**21))),
        chunk(b"zTXt", b"Comment\0\x07nonsense"),
        chunk(b"pHYs", b"12"),
        chunk(b"gAMA", b""),
        chunk(b"iCCP", b"profile\0\0nonsense"),
        chunk(b"eXIf", b"nonsense", checksum=3),
        chunk(b"tIME", b"\xff" * 7, checksum=4),
        chunk(b"xYzw", b"?" * 9),
    ],
    ids=lambda extra: str(extra[4:8]),
)
def test_what_a_png_holds_besides_pixels_costs_no_picture(extra: bytes, tmp_path: Path) -> None:
    samples = np.asarray(scene()).reshape(SIDE, -1)
    assert difference(png(tmp_path / "a.png", samples, 8, 2, extra), np.asarray(scene())) == 0


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_whose_end_is_missing_is_whole_if_its_pixels_are(mode: str, progressive: bool, tmp_path: Path) -> None:
    image = Image.fromarray(noise(40, 40, 3).numpy()).convert(mode)
    image.save(tmp_path / "whole.jpg", progressive=progressive)
    content = (tmp_path / "whole.jpg").read_bytes()
    expected = colours(tmp_path / "whole.jpg")
    for missing in (1, 2):
        (tmp_path / "cut.jpg").write_bytes(content[:-missing])
        assert np.array_equal(colours(tmp_path / "cut.jpg"), expected)
    for missing in (6, 40, len(content) // 3):
        (tmp_path / "cut.jpg").write_bytes(content[:-missing])
        assert decode(tmp_path / "cut.jpg", Decoding(SIDE, 3)).problem.startswith("cannot be decoded (image file is")


def test_no_jpeg_of_which_pixels_are_missing_is_taken_for_whole(tmp_path: Path) -> None:
    Image.fromarray(noise(96, 96, 3).numpy()).save(tmp_path / "a.jpg", quality=90)
    content = (tmp_path / "a.jpg").read_bytes()
    expected = decode_bytes(content, Decoding(96, 3)).image
    assert expected is not None
    for missing in range(3, 60):
        image = decode_bytes(content[:-missing], Decoding(96, 3)).image
        assert image is None or np.abs(image.astype(int) - expected).max() <= 1, missing


def test_a_photograph_of_200_megapixels_is_decoded_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(noise(16, 16, 3).numpy()).resize((512, 512), Image.Resampling.NEAREST)
    image.save(tmp_path / "a.jpg", quality=95, subsampling=0)
    image.save(tmp_path / "a.png")
    expected = colours(tmp_path / "a.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 512 * 511 // 2)  # of which twice as many are refused
    monkeypatch.setattr(decoding, "MOST_PIXELS", 512 * 511)
    assert np.array_equal(colours(tmp_path / "a.jpg"), expected)
    assert "exceeds limit" in decode(tmp_path / "a.png", Decoding(SIDE, 3)).problem
    assert decode(tmp_path / "a.jpg", Decoding(512, 3)).problem == (
        "cannot be decoded (262,144 pixels are too many: at most 261,632)"
    )
    image.save(tmp_path / "a.jpg", progressive=True)  # which is held whole, however small it is wanted
    assert decode(tmp_path / "a.jpg", Decoding(SIDE, 3)).problem.startswith("cannot be decoded (262,144 pixels")


# Depth, transparency, several pictures --------------------------------------------------------------------------------


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
        f"16-bit pixels of which only {bits} bits are used, so the image is dark: use"
        f" data.range=[0,{2**bits - 1}], or auto"
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
    assert "only 12 bits are used" in decode(path, Decoding(SIDE, 3)).remark
    assert difference(path, few / 4095 * 255, range=(0, 4095)) < 9  # Pillow reads the upper 8 of the 16 bits
    assert "upper 8 bits only" in decode(path, Decoding(SIDE, 3, (0, 4095))).remark


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
    assert decode(tmp_path / name, Decoding(8, 3)).remark == "several images, of which the first is used"
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

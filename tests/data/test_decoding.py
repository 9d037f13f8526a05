"""Photographs are decoded as they were meant to be seen, and what is none is said."""

import hashlib
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labbook.data import decoding
from labbook.data.decoding import Decoding, decode
from tests.cases import each_case
from tests.data.odd_images import SIDE
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


def colours(path: Path, **how: Any) -> np.ndarray:
    """The image in a file as [H, W, C], of its own size."""
    decoded = decode(path, Decoding(SIDE, 3, **how))
    assert decoded.image is not None, decoded.problem
    return decoded.image.transpose(1, 2, 0)


def difference(path: Path, expected: np.ndarray, **how: Any) -> float:
    return float(np.abs(colours(path, **how).astype(float) - expected).mean())


def test_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    image = noise(7, 7, 3).numpy()
    Image.fromarray(image).save(tmp_path / "a.png")
    assert np.array_equal(pixels(tmp_path / "a.png", 7, 3), image.transpose(2, 0, 1))


def test_another_shape_becomes_a_square(tmp_path: Path) -> None:
    image = Image.fromarray(noise(9, 20, 3).numpy())
    image.save(tmp_path / "a.png")
    expected = np.asarray(image.resize((6, 6), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(pixels(tmp_path / "a.png", 6, 3), expected)


@each_case(
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
)
@each_case("channels", [1, 3])
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
            "cannot be decoded (32-bit or signed pixels of unknown range: use data.range=[BLACK,WHITE], or",
        ),
        "gone": (folder / "gone.png", "cannot be read ([Errno 2]"),
    }


KINDS = [
    "page", "postscript", "bomb", "folder", "pipe", "link", "circle", "text", "empty", "jpeg", "png", "gone", "32 bits"
]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="makes pipes and knows the numbers of errors")
@each_case("kind", KINDS)
def test_what_cannot_be_decoded_is_said(kind: str, tmp_path: Path) -> None:
    (tmp_path / kind).mkdir()
    path, reason = broken(tmp_path / kind)[kind]
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

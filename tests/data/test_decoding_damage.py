"""Files with damaged metadata or a missing end: their pixels count."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labbook.data import decoding
from labbook.data.decoding import Decoding, decode, decode_bytes
from labbook.data.file_metadata import without_metadata
from tests.cases import each_case
from tests.data import odd_images
from tests.data.odd_images import SIDE, chunk, deep_tiff, gradient, png, scene, with_exif
from tests.data.samples import noise
from tests.data.test_decoding import colours, difference

UPRIGHT = np.rot90(np.asarray(scene()), -1)


@each_case("ending", [".jpg", ".png", ".webp", ".tif"])
@each_case("kind", odd_images.TURNED)
def test_an_orientation_of_any_type_is_obeyed(kind: str, ending: str, tmp_path: Path) -> None:
    data = odd_images.TURNED[kind]
    if ending == ".tif":  # whose own directory has the orientation; Pillow writes no odd ones
        turned = deep_tiff(tmp_path / "a.tif", gradient(65535), tag274=(1 if kind == "a byte" else 3, 6))
        assert difference(turned, np.rot90(gradient(65535) >> 8, -1)[..., None]) == 0
        return
    options = {"quality": 95, "subsampling": 0} if ending == ".jpg" else {"lossless": True} if ending == ".webp" else {}
    assert difference(with_exif(tmp_path / f"a{ending}", data, **options), UPRIGHT) < 3


@each_case("ending", [".jpg", ".png", ".webp"])
@each_case("kind", odd_images.UNREADABLE)
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


@each_case(
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

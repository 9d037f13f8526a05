"""Photographs are decoded once, rightly, and never half."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from labbook.data import cache_records, image_cache
from labbook.data.decoding import Decoded, Decoding, decode
from labbook.data.image_cache import Labelled, cached_images
from labbook.data.images import Images
from labbook.errors import SettingError
from tests.data.samples import photograph, truncate


@pytest.fixture
def files(tmp_path: Path) -> list[Labelled]:
    """Ten images, each of its own shade of red, of classes 0, 1, 0, 1, ..."""
    folder = tmp_path / "photographs"
    return [Labelled(photograph(folder / f"{n}.png", (10 * n, 0, 99)), n % 2) for n in range(10)]


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files decoded so far."""
    seen: list[Path] = []

    def counting(path: Path, how: Decoding) -> Decoded:
        seen.append(path)
        return decode(path, how)

    monkeypatch.setattr(image_cache, "decode", counting)
    return seen


def read(files: list[Labelled], folder: Path, size: int = 4, channels: int = 3) -> Images:
    photographs = cached_images(files, Decoding(size, channels), folder / "cache", "images")
    assert [file.label for file in photographs.files] == photographs.images.labels.tolist()
    return photographs.images


def shades(images: Images) -> list[int]:
    """The red of the first pixel of each image."""
    return images.pixels[:, 0, 0, 0].tolist()


def leftovers(folder: Path) -> set[str]:
    """The kinds of file in the cache, but for the locks."""
    return {path.suffix for path in (folder / "cache").iterdir()} - {".lock"}


def test_pixels_are_stored_as_they_are_decoded(files: list[Labelled], tmp_path: Path) -> None:
    pixels = read(files, tmp_path).pixels
    assert pixels.shape == (10, 3, 4, 4)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert [pixel.tolist() for pixel in pixels[:, :, 2, 1]] == [[10 * n, 0, 99] for n in range(10)]


# The cache ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 3, 10, 512])
def test_images_and_labels_are_those_of_the_files_in_their_order(
    at_once: int, files: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "AT_ONCE", at_once)
    images = read(files, tmp_path)
    assert images.pixels.shape == (10, 3, 4, 4)
    assert images.pixels.dtype == torch.uint8
    assert shades(images) == [10 * n for n in range(10)]
    assert images.labels.tolist() == [0, 1] * 5
    assert images.labels.dtype == torch.int64


def test_the_second_time_nothing_is_decoded(files: list[Labelled], tmp_path: Path, decodings: list[Path]) -> None:
    first = read(files, tmp_path)
    assert len(decodings) == 10
    second = read(files, tmp_path)
    assert len(decodings) == 10
    assert torch.equal(second.pixels, first.pixels)
    assert torch.equal(second.labels, first.labels)
    assert leftovers(tmp_path) == {".json", ".pixels"}


def touched(files: list[Labelled]) -> list[Labelled]:
    os.utime(files[3].path, ns=(1, 1))
    return files


def longer(files: list[Labelled]) -> list[Labelled]:
    status = files[3].path.stat()
    with files[3].path.open("ab") as file:
        file.write(b"more")
    os.utime(files[3].path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return files


def moved(files: list[Labelled]) -> list[Labelled]:
    return [Labelled(files[0].path.rename(files[0].path.with_name("moved.png")), 0), *files[1:]]


CHANGES: dict[str, tuple[Callable[[list[Labelled]], list[Labelled]], int]] = {  # and how many files are decoded again
    "touched": (touched, 1),
    "longer": (longer, 1),
    "moved": (moved, 1),
    "one less": (lambda files: files[1:], 0),
    "another order": (lambda files: files[::-1], 0),
    "another class": (lambda files: [Labelled(files[0].path, 1), *files[1:]], 0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_what_changed_is_decoded_again(
    change: str, files: list[Labelled], tmp_path: Path, decodings: list[Path]
) -> None:
    read(files, tmp_path)
    make, again = CHANGES[change]
    changed = make(files)
    images = read(changed, tmp_path)
    assert len(decodings) == 10 + again
    assert images.labels.tolist() == [file.label for file in changed]
    assert shades(images) == [decode(file.path, Decoding(4, 3)).image[0, 0, 0] for file in changed]


@pytest.mark.parametrize("settings", [{"size": 5}, {"channels": 1}], ids=str)
def test_other_settings_have_a_cache_of_their_own(
    settings: dict[str, Any], files: list[Labelled], tmp_path: Path, decodings: list[Path]
) -> None:
    read(files, tmp_path)
    images = read(files, tmp_path, **settings)
    assert len(decodings) == 20
    assert images.pixels.shape[1:] == (settings.get("channels", 3), settings.get("size", 4), settings.get("size", 4))
    assert shades(read(files, tmp_path)) == [10 * n for n in range(10)]
    assert len(decodings) == 20


def test_images_are_a_memory_map_and_no_copy(
    files: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps: list[np.memmap[Any, Any]] = []
    original = np.memmap
    monkeypatch.setattr(np, "memmap", lambda *items, **options: maps.append(original(*items, **options)) or maps[-1])
    images = read(files, tmp_path)
    assert images.pixels.data_ptr() == maps[0].ctypes.data
    images.pixels.zero_()  # nobody does, but it must not reach the file
    assert shades(read(files, tmp_path)) == [10 * n for n in range(10)]


@pytest.mark.parametrize("size", [4, 5])
def test_only_new_and_changed_files_are_decoded(
    size: int, files: list[Labelled], tmp_path: Path, decodings: list[Path]
) -> None:
    Path(files[3].path).write_text("no image")
    read(files, tmp_path)
    del decodings[:]
    folder = files[0].path.parent
    added = Labelled(photograph(folder / "0a.png", (7, 0, 99)), 1)
    photograph(files[5].path, (250, 0, 99))
    files[8].path.unlink()
    now = [files[0], added, *files[1:8], files[9]]
    images = read(now, tmp_path, size)
    assert shades(images) == [0, 7, 10, 20, 40, 250, 60, 70, 90]
    again = [added.path, files[3].path, files[5].path]
    assert sorted(decodings) == sorted(again if size == 4 else [file.path for file in now])
    assert images.digests == read(now, tmp_path / "elsewhere", size).digests


# Folders that cannot be written to ------------------------------------------------------------------------------------


def no_folder(tmp_path: Path, kind: str) -> Path:
    """A name that cannot be a folder for the cache."""
    place = tmp_path / ("x" * 300 if kind == "long" else "cache")
    if kind == "file":
        place.write_text("no folder")
    if kind == "link":
        place.symlink_to(tmp_path / "nowhere" / "at" / "all")
    return Path("/proc/x") if kind == "proc" else place


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
@pytest.mark.parametrize("kind", ["file", "link", "proc", "long"])
def test_a_place_that_cannot_be_a_folder_is_refused(kind: str, files: list[Labelled], tmp_path: Path) -> None:
    folder = no_folder(tmp_path, kind)
    with pytest.raises(SettingError) as refusal:
        cached_images(files, Decoding(4, 3), folder, "images")
    assert str(refusal.value).startswith(f"data.cache_dir={folder} cannot be written to (")
    assert str(refusal.value).endswith("): name another folder")


def test_a_complete_cache_is_only_read(
    files: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decodings: list[Path]
) -> None:
    read(files, tmp_path)
    files[0].path.chmod(0o600)  # which would be noted

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache_records, "write_whole", denied)
    for name in ("atomic_replace", "make_folder", "blocking_lock"):
        monkeypatch.setattr(image_cache, name, denied)
    assert shades(read(files, tmp_path)) == [10 * n for n in range(10)]
    assert len(decodings) == 10


def test_a_set_larger_than_the_memory_is_mapped(
    files: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = np.memmap

    def refusing(*items: Any, mode: str, **options: Any) -> Any:
        if mode == "c":
            raise OSError(12, "Cannot allocate memory")
        return original(*items, mode=mode, **options)

    monkeypatch.setattr(np, "memmap", refusing)
    assert shades(read(files, tmp_path)) == [10 * n for n in range(10)]


# Files that are no images ------------------------------------------------------------------------------------------


def with_broken(files: list[Labelled], folder: Path) -> list[Labelled]:
    """Two unreadable files among the readable ones."""
    (folder / "notes.jpg").write_text("bring milk")
    truncate(photograph(folder / "cut.jpg", size=(40, 40)), 0.6)
    return [files[0], Labelled(folder / "notes.jpg", 1), *files[1:9], Labelled(folder / "cut.jpg", 1), files[9]]


def test_unreadable_files_are_left_out_and_named(files: list[Labelled], tmp_path: Path, decodings: list[Path]) -> None:
    some = with_broken(files, tmp_path)
    for _ in range(2):  # a cache that is used again says so again
        images = read(some, tmp_path)
        assert len(images.skipped) == 2
        assert images.skipped[0] == f"{tmp_path / 'notes.jpg'}, which is no image"
        assert images.skipped[1].startswith(f"{tmp_path / 'cut.jpg'}, which cannot be decoded (")
        assert shades(images) == [10 * n for n in range(10)]
        assert images.labels.tolist() == [0, 1] * 5
    assert len(decodings) == len(some)


def test_a_set_without_any_readable_image_is_refused(files: list[Labelled], tmp_path: Path) -> None:
    some = with_broken(files, tmp_path)
    for _ in range(2):
        with pytest.raises(SettingError) as refusal:
            read([some[1], some[10]], tmp_path)
        assert str(refusal.value) == "images: none of 2 files can be read as an image"
    photograph(tmp_path / "notes.jpg", (7, 0, 99), size=(40, 40))
    assert len(read([some[1], some[10]], tmp_path).labels) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_any_name_can_be_decoded_and_printed(files: list[Labelled], tmp_path: Path) -> None:
    odd = [Path(os.fsdecode(bytes(tmp_path) + b"/" + name)) for name in (b"\xff.png", b"a\nb.png", b"\x1b[2J.png")]
    good, *bad = odd
    Image.new("RGB", (8, 8), (77, 0, 0)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(good)
    for path in bad:
        path.write_text("no image")
    for _ in range(2):
        images = read([*files, *(Labelled(path, 0) for path in odd)], tmp_path)
        assert shades(images)[-1] == 77
        assert "".join(images.skipped).isprintable()
        assert images.skipped[0] == f"{tmp_path}/a\\nb.png, which is no image"


# Progress ----------------------------------------------------------------------------------------------------------


def test_progress_is_shown_on_the_error_stream_of_a_terminal(
    files: list[Labelled], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    read(files, tmp_path)
    shown = capsys.readouterr()
    assert "images" in shown.err
    assert shown.out == ""


def test_without_a_terminal_no_progress_is_shown(
    files: list[Labelled], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    read(files, tmp_path)
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")

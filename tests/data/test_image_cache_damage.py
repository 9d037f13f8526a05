"""A cache after interruptions, beside other processes, and after changes of the files."""

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labbook.data import image_cache
from labbook.data.decoding import Decoded, Decoding, decode
from labbook.data.image_cache import Labelled
from labbook.data.images import Images
from labbook.files import PARTIAL
from tests.data.samples import in_three_processes, truncate
from tests.data.test_image_cache import decodings as decodings
from tests.data.test_image_cache import files as files
from tests.data.test_image_cache import leftovers, read, shades


def test_interrupted_it_leaves_nothing_and_starts_clean(
    files: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, how: Decoding) -> Decoded:
        if path.name == "6.png":
            raise KeyboardInterrupt
        return decode(path, how)

    with monkeypatch.context() as patch:
        patch.setattr(image_cache, "decode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read(files, tmp_path)
    assert leftovers(tmp_path) == set()
    assert shades(read(files, tmp_path)) == [10 * n for n in range(10)]


@pytest.mark.parametrize("suffixes", [["pixels.1-a.partial"], ["pixels"], ["pixels", "json.1-a.partial"]], ids=str)
def test_what_a_killed_process_left_is_not_taken_for_whole(
    suffixes: list[str], files: list[Labelled], tmp_path: Path
) -> None:
    key = image_cache.Cache(files, Decoding(4, 3), tmp_path / "cache").pixels.stem
    (tmp_path / "cache").mkdir()
    for suffix in suffixes:
        hidden = "." if suffix.endswith(PARTIAL) else ""
        (tmp_path / "cache" / f"{hidden}{key}.{suffix}").write_bytes(b"?" * 5000)
    assert shades(read(files, tmp_path)) == [10 * n for n in range(10)]
    assert leftovers(tmp_path) == {".json", ".pixels"}


@pytest.mark.parametrize("harm", ["short", "no pixels", "no json", "empty json", "other json", "fewer digests"])
def test_a_damaged_cache_is_made_again(harm: str, files: list[Labelled], tmp_path: Path) -> None:
    read(files, tmp_path)
    (about,) = (tmp_path / "cache").glob("*.json")
    stored = about.with_suffix(".pixels")
    {
        "short": lambda: truncate(stored, 0.5),
        "no pixels": stored.unlink,
        "no json": about.unlink,
        "empty json": lambda: truncate(about, 0),
        "other json": lambda: about.write_text("[1]"),
        "fewer digests": lambda: about.write_text('{"skipped": [], "digests": ["0"]}'),
    }[harm]()
    assert shades(read(files, tmp_path)) == [10 * n for n in range(10)]


def test_threads_at_once_decode_once_and_agree(files: list[Labelled], tmp_path: Path, decodings: list[Path]) -> None:
    together = threading.Barrier(4)

    def one(_: int) -> Images:
        together.wait(10)
        return read(files, tmp_path)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(one, range(4)))
    assert len(decodings) == 10
    assert all(shades(images) == [10 * n for n in range(10)] for images in results)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_at_once_decode_once_and_agree(
    files: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(path: Path, how: Decoding) -> Decoded:
        with (tmp_path / "decoded").open("a") as file:
            file.write(f"{path}\n")
        time.sleep(0.01)  # long enough for the others to come
        return decode(path, how)

    monkeypatch.setattr(image_cache, "decode", noted)
    assert in_three_processes(lambda: shades(read(files, tmp_path))) == [[10 * n for n in range(10)]] * 3
    assert len((tmp_path / "decoded").read_text().splitlines()) == 10


# What was kept may not be so any more ---------------------------------------------------------------------------------


def kept_time(path: Path, change: Callable[[], object]) -> None:
    """Change a file without its size and time of writing telling."""
    status = path.stat()
    change()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size


@pytest.mark.parametrize("where", [0, 5, -1])
def test_overwritten_pixels_are_decoded_again(
    where: int, files: list[Labelled], tmp_path: Path, decodings: list[Path]
) -> None:
    read(files, tmp_path)
    (stored,) = (tmp_path / "cache").glob("*.pixels")
    content = bytearray(stored.read_bytes())
    content[where] ^= 255
    kept_time(stored, lambda: stored.write_bytes(content))
    assert shades(read(files, tmp_path)) == [10 * n for n in range(10)]
    assert len(decodings) == 20


def test_a_copy_of_a_cache_is_used(files: list[Labelled], tmp_path: Path, decodings: list[Path]) -> None:
    read(files, tmp_path)
    (stored,) = (tmp_path / "cache").glob("*.pixels")
    stored.write_bytes(stored.read_bytes())
    for _ in range(2):
        assert shades(read(files, tmp_path)) == [10 * n for n in range(10)]
    assert len(decodings) == 10


@pytest.mark.parametrize("how", ["renamed", "written"])
def test_files_exchanged_at_the_same_size_and_time_are_decoded_again(
    how: str, files: list[Labelled], tmp_path: Path
) -> None:
    one, other = files[2].path, files[3].path
    size = max(one.stat().st_size, other.stat().st_size)
    for path in (one, other):
        with path.open("ab") as file:
            file.write(b"\0" * (size - path.stat().st_size))
        os.utime(path, ns=(10**18, 10**18))
    read(files, tmp_path)
    if how == "renamed":
        one.rename(tmp_path / "third")
        other.rename(one)
        (tmp_path / "third").rename(other)
    else:
        content = one.read_bytes()
        kept_time(one, lambda: one.write_bytes(other.read_bytes()))
        kept_time(other, lambda: other.write_bytes(content))
    assert shades(read(files, tmp_path)) == [0, 10, 30, 20, *(10 * n for n in range(4, 10))]


def test_files_with_other_rights_or_names_are_not_decoded_again(
    files: list[Labelled], tmp_path: Path, decodings: list[Path]
) -> None:
    read(files, tmp_path)
    files[0].path.chmod(0o600)
    files[1].path.rename(tmp_path / "third").rename(files[1].path)
    assert shades(read(files, tmp_path)) == [10 * n for n in range(10)]
    assert len(decodings) == 10


@pytest.mark.parametrize("error", [PermissionError(13, "denied"), OSError(5, "disk"), MemoryError()], ids=repr)
def test_what_failed_for_a_while_is_tried_again(
    error: Exception, files: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decodings: list[Path]
) -> None:
    original = Path.read_bytes

    def failing(path: Path) -> bytes:
        if path == files[3].path:
            raise error
        return original(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing)
        for _ in range(2):
            images = read(files, tmp_path)
            assert len(images.labels) == 9
            assert images.skipped[0].startswith(f"{files[3].path}, which cannot be read (")
        assert len(decodings) == 10 + 1  # the second time, nothing but that file
    images = read(files, tmp_path)
    assert (shades(images), images.skipped) == ([10 * n for n in range(10)], ())

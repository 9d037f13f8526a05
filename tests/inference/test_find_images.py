"""Files, folders and patterns: which images are meant, and in which order."""

import os
from pathlib import Path

import pytest

from labbook.errors import SettingError
from labbook.inference.predict.request import find_images
from tests.cases import each_case


@pytest.fixture(autouse=True)
def _album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "deep/c.png", "deep/er/d.webp", "deep/notes.txt", ".hidden.png", "odd [1].png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("empty").mkdir()


def images(*places: str) -> list[str]:
    return [file.as_posix() for file in find_images(places).images]


@each_case(
    ("place", "expected"),
    [
        (".", ["a.JPG", "b.png", "deep/c.png", "deep/er/d.webp", "odd [1].png"]),
        ("deep/", ["deep/c.png", "deep/er/d.webp"]),
        ("*.png", ["b.png", "odd [1].png"]),
        ("**/*.webp", ["deep/er/d.webp"]),
        ("d*", ["deep/c.png", "deep/er/d.webp"]),
        ("deep/**", ["deep/c.png", "deep/er/d.webp", "deep/notes.txt"]),
        ("deep/notes.txt", ["deep/notes.txt"]),
        ("odd [1].png", ["odd [1].png"]),
        (".hidden.png", [".hidden.png"]),
        ("[!a].*", ["b.png"]),
    ],
)
def test_what_a_place_stands_for(place: str, expected: list[str]) -> None:
    assert images(place) == expected


def test_places_keep_their_order_and_what_is_asked_twice_comes_twice() -> None:
    assert images("deep", "b.png", "*.png", "b.png") == [
        "deep/c.png", "deep/er/d.webp", "b.png", "b.png", "odd [1].png", "b.png",
    ]  # fmt: skip


def test_a_pattern_from_the_root_and_one_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert images(f"{tmp_path}/b.*") == images("~/b.*") == images("~/b.png") == [(tmp_path / "b.png").as_posix()]


def test_other_files_of_folders_are_told_of() -> None:
    assert find_images(["."]).others == [Path("deep/notes.txt")]
    assert find_images(["deep/**"]).others == []  # where the pattern asks for it


def test_a_link_to_nowhere_is_left_for_the_decoder_to_name() -> None:
    Path("gone.png").symlink_to("nowhere")
    assert images("gone.png") == ["gone.png"]


@pytest.mark.parametrize("place", ["c.png", "*.gif", "nowhere/", "x\n.png", "~nobody-is-called-so/a.png", "a" * 5000])
def test_nothing_there(place: str) -> None:
    with pytest.raises(SettingError, match=r"^[ -~]{1,90} is not a file, a folder or a pattern that matches files$"):
        find_images(["b.png", place])


@pytest.mark.parametrize("place", ["empty", "empt*"])
def test_no_image_there(place: str) -> None:
    with pytest.raises(SettingError, match=r"has no image: no file name ends in one of .*\.jpeg, .*\.png"):
        find_images([place])


def test_folders_in_a_circle_end() -> None:
    Path("deep/er/round").symlink_to(Path("deep").absolute())
    with pytest.raises(SettingError, match="are one folder, so its images would count twice"):
        find_images(["deep"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="whoever may read everything is refused nothing")
def test_a_folder_that_must_not_be_read_is_not_passed_over() -> None:
    Path("deep/er").chmod(0)
    try:
        with pytest.raises(PermissionError):
            find_images(["deep"])
    finally:
        Path("deep/er").chmod(0o700)

"""Layouts of folders that would give images a wrong label, or leave some out unsaid."""

import os
import unicodedata
from pathlib import Path

import pytest

from labbook.data.class_folders import class_folder, class_names_of_parts, subfolders, walk_files
from labbook.errors import SettingError, printable


def make(root: Path, *names: str) -> Path:
    """Folders with a file in each."""
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "1.jpg").touch()
    return root


def refusal(root: Path, train: str = "train", test: str = "test") -> str:
    with pytest.raises(SettingError) as refused:
        class_names_of_parts(root / train, root / test, subfolders)
    assert str(refused.value).isprintable()
    return str(refused.value)


def test_the_classes_are_the_folders_in_order(tmp_path: Path) -> None:
    make(tmp_path, "train/b", "train/a", "test/a", "test/b", "train/.git", "test/__MACOSX")
    assert class_names_of_parts(tmp_path / "train", tmp_path / "test", subfolders) == ("a", "b")


@pytest.mark.parametrize("test", ["train", "./train", "link", "other/../train"])
def test_one_folder_cannot_be_both_parts(test: str, tmp_path: Path) -> None:
    make(tmp_path, "train/a", "train/b", "other")
    (tmp_path / "link").symlink_to(tmp_path / "train")
    assert f"{tmp_path / 'train'} and {tmp_path / test} are one folder: data.train_folder and " in refusal(
        tmp_path, test=test
    )


@pytest.mark.parametrize(("train", "test"), [("all", "all/test"), ("all/train", "all"), ("train", "link/test")])
def test_one_part_cannot_lie_in_the_other(train: str, test: str, tmp_path: Path) -> None:
    make(tmp_path, *(f"{part}/{name}" for part in ("all/test", "all/train", "train/test") for name in "ab"))
    (tmp_path / "link").symlink_to(tmp_path / "train")
    assert " lie one in the other: " in refusal(tmp_path, train, test)


def test_parts_are_no_classes(tmp_path: Path) -> None:
    make(tmp_path, *(f"train/{part}/{name}" for part in ("Train", "test") for name in "ab"), "test/a", "test/b")
    folder = tmp_path / "train"
    assert refusal(tmp_path) == (
        f"{folder} holds Train and test, which are splits and not classes: use data.root={folder},"
        " data.train_folder and data.test_folder to them"
    )


def test_another_spelling_in_the_other_part_is_said(tmp_path: Path) -> None:
    make(tmp_path, "train/Cat", "train/dog", "test/cat", "test/dog")
    said = refusal(tmp_path)
    assert said.startswith(f"training and test folders have different classes (only in {tmp_path / 'train'}: Cat; ")
    assert said.endswith("): some differ only in case")


def test_accents_are_the_same_however_a_system_encodes_them(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "caf\u00e9")
    make(tmp_path, "train/caf\u00e9", "train/dog", f"test/{decomposed}", "test/dog")
    assert class_names_of_parts(tmp_path / "train", tmp_path / "test", subfolders) == ("caf\u00e9", "dog")
    assert class_folder(tmp_path / "test", "caf\u00e9") == tmp_path / "test" / decomposed
    make(tmp_path, f"train/{decomposed}")
    assert "one class under two spellings" in refusal(tmp_path)


def test_two_spellings_are_not_two_classes(tmp_path: Path) -> None:
    make(tmp_path, *(f"{part}/{name}" for part in ("train", "test") for name in ("Cat", "cat", "dog")))
    assert refusal(tmp_path) == (
        f"{tmp_path / 'train'} holds Cat and cat, one class under two spellings: make them one folder"
    )


def test_one_class_is_none(tmp_path: Path) -> None:
    make(tmp_path, *(f"{part}/images/{name}" for part in ("train", "test") for name in ("cat", "dog")))
    assert refusal(tmp_path) == (
        f"{tmp_path / 'train'} has only one class, images, in which cat, dog lie: use the folder that contains"
        " the class folders"
    )


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", b"\x1b[31mred"])
def test_a_class_whose_name_cannot_be_shown_is_refused(name: bytes, tmp_path: Path) -> None:
    make(tmp_path, *(f"{part}/{os.fsdecode(name)}" for part in ("train", "test")), "train/b", "test/b")
    assert "is the folder of a class, and its name cannot be shown: rename it" in refusal(tmp_path)


# Files ---------------------------------------------------------------------------------------------------------------


def test_files_of_linked_folders_are_found_and_folders_named_as_images_are_looked_into(tmp_path: Path) -> None:
    make(tmp_path, "a/b.jpg", "else/where", "a/.hidden")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "else")
    (tmp_path / "a" / "gone.jpg").symlink_to(tmp_path / "nothing")
    found = sorted(walk_files(tmp_path / "a", {}))
    assert [str(path.relative_to(tmp_path / "a")) for path in found] == [
        "b.jpg/1.jpg", "gone.jpg", "link/where/1.jpg"
    ]  # fmt: skip


@pytest.mark.parametrize("to", [".", "..", "../a/b"])
def test_a_circle_of_links_ends(to: str, tmp_path: Path) -> None:
    make(tmp_path, "a/b")
    (tmp_path / "a" / "link").symlink_to(to)
    with pytest.raises(SettingError, match="are one folder, so its images would count twice"):
        list(walk_files(tmp_path / "a", {}))


def test_one_folder_cannot_be_two_classes(tmp_path: Path) -> None:
    make(tmp_path, "a")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    seen: dict[tuple[int, int], Path] = {}
    list(walk_files(tmp_path / "a", seen))
    with pytest.raises(SettingError) as refused:
        list(walk_files(tmp_path / "b", seen))
    assert (
        str(refused.value) == f"{tmp_path / 'b'} and {tmp_path / 'a'} are one folder, so its images would count twice"
    )


def test_a_folder_that_must_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/locked")
    scan = os.scandir

    def denied(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(PermissionError):
        list(walk_files(tmp_path / "a", {}))


def test_any_name_can_be_shown() -> None:
    assert printable("pl\u00e4in") == "pl\u00e4in"
    assert printable("a\nb\x1b\udcff") == "a\\nb\\x1b\\udcff"

"""The test part that is drawn from one folder."""

import shutil
from pathlib import Path

import pytest

from labbook.data import duplicates
from tests.data.samples import album, files_in, photograph, read_folder
from tests.data.test_layouts import CLASSES


def test_the_test_part_is_the_same_in_every_run_and_of_each_class(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"": 20}, CLASSES)
    data = read_folder(root)
    assert data.parts["test"].labels.bincount().tolist() == [4, 4]
    assert data.parts["train"].labels[data.rows["val"]].bincount().tolist() == [2, 2]
    for option in ({"val_seed": 1}, {"seed": 7}, {"val_fraction": 0.5}, {"val_split": "random"}):
        assert files_in(read_folder(root, **option), "test") == files_in(data, "test")
    for only in ("train", "test"):  # as an evaluation reads them
        one = read_folder(root, only=only, test_fraction=0.2)
        assert one.parts[only].files == data.parts[only].files


def test_an_image_more_or_less_moves_at_most_one_other_of_its_class_into_the_test(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"": 12}, CLASSES)
    before = files_in(read_folder(root), "test")
    for number in range(12):
        gone = root / "cat" / f"{number}.png"
        gone.rename(tmp_path / "away.png")
        now = files_in(read_folder(root), "test")
        moved = (before ^ now) - {f"cat/{number}.png"}
        assert len(moved) <= 1
        assert all(name.startswith("cat/") for name in moved)
        (tmp_path / "away.png").rename(gone)
    (root / "dog" / "1.png").rename(root / "dog" / "renamed.png")
    assert {name.replace("renamed", "1") for name in files_in(read_folder(root), "test")} == before


def test_copies_are_not_divided(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"": 10}, CLASSES)
    for number in range(10):
        shutil.copy(root / "cat" / f"{number}.png", root / "cat" / f"copy {number}.png")
    assert not any("so the test flatters" in note for note in read_folder(root, test_fraction=0.5).notes)


def test_a_class_too_small_for_the_test_is_said_and_trained_on(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"": 10}, CLASSES)
    photograph(root / "emu" / "1.png", (9, 9, 9))
    data = read_folder(root)
    assert 2 in data.training_labels.tolist()
    assert "test: the test has no image of 1 of 3 classes (emu): one image, or one group, is not divided" in data.notes


def test_digests_are_read_again_only_of_files_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    seen: list[str] = []
    digest_of = duplicates.file_digest
    monkeypatch.setattr(duplicates, "file_digest", lambda path: seen.append(path.name) or digest_of(path))
    root = album(tmp_path / "pets", {"": 3}, CLASSES)
    read_folder(root)
    assert len(seen) == 6
    photograph(root / "cat" / "1.png", (77, 7, 7))
    read_folder(root)
    assert seen[6:] == ["1.png"]

"""The validation part of an image folder."""

from pathlib import Path

import pytest

from labbook.errors import SettingError
from tests.data.samples import album, files_in, photograph, read_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return album(tmp_path / "pets", {"train": 20, "test": 2})


def test_of_a_folder_each_class_is_divided_and_stays_so_when_images_come_and_go(root: Path) -> None:
    before = read_folder(root)
    assert [name.split("/")[1] for name in sorted(files_in(before, "val"))] == ["cat", "cat", "dog", "dog"]
    gone, renamed = sorted(files_in(before, "train"))[:2]
    (root / gone).unlink()
    (root / renamed).rename(root / "train" / "cat" / "renamed.png")
    fewer = read_folder(root)
    assert "train/cat/renamed.png" in files_in(fewer, "train")
    assert files_in(fewer, "val") == files_in(before, "val")
    photograph(root / "train" / "cat" / "new.png", (99, 7, 7))
    more = read_folder(root)
    moved = (files_in(more, "val") ^ files_in(fewer, "val")) - {"train/cat/new.png"}
    assert len(moved) <= 1
    assert all(name.startswith("train/cat/") for name in moved)


def test_the_tail_of_a_folder_is_refused(root: Path) -> None:
    with pytest.raises(SettingError, match=r"^data\.val_split=last holds out whole classes of a folder"):
        read_folder(root, val_split="last")
    assert read_folder(root, val_split="last", only="test").rows["test"].numel()  # a run of before is tested again


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_a_folder_for_validation_is_used_and_said(name: str, root: Path) -> None:
    for number in range(3):
        photograph(root / name / "dog" / f"{number}.png", (200 + number, 9, 9))
    data = read_folder(root)
    assert files_in(data, "val") == {f"{name}/dog/{number}.png" for number in range(3)}
    assert len(files_in(data, "train")) == 40
    assert all(file.startswith("train/") for file in files_in(data, "train"))
    assert data.notes[1:] == [
        f"train: validation on the 3 images in {root / name}; data.val_fraction has no effect",
        "validation has no image of 1 of 2 classes (cat)",
    ]
    tested = read_folder(root, validation="test")
    assert len(tested.parts["train"].labels) == 40
    assert tested.notes[1:] == [f"train: {root / name} is not used, because of data.validation=test"]


@pytest.mark.parametrize("unused", ["dev/dog/1.png", "val/1.png", "Test2/cat/1.png"])
def test_another_folder_of_classes_is_said_not_to_be_used(unused: str, root: Path) -> None:
    photograph(root / unused, (9, 9, 9))
    (root / "notes" / "mine").mkdir(parents=True)
    place = root / unused.partition("/")[0]
    assert read_folder(root).notes[1:] == [f"train: {place} is not used; validation images must be in val/CLASS"]


def test_a_folder_for_validation_may_be_the_test_folder(root: Path) -> None:
    (root / "test").rename(root / "val")
    data = read_folder(root, test_folder="val")
    assert (len(data.rows["val"]), data.notes[1:]) == (4, [])


def test_a_folder_for_validation_that_cannot_be_one_is_refused(root: Path) -> None:
    photograph(root / "val" / "cow" / "1.png")
    with pytest.raises(SettingError, match=r"val has classes without training images: cow$"):
        read_folder(root)
    photograph(root / "valid" / "cat" / "1.png")
    with pytest.raises(SettingError, match=r"could each be the val part: rename one of them$"):
        read_folder(root)


def test_training_images_in_the_folder_for_validation_are_said(root: Path) -> None:
    copy = root / "val" / "cat" / "copy.png"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((root / "train" / "cat" / "0.png").read_bytes())
    photograph(root / "val" / "dog" / "1.png", (201, 9, 9))
    assert read_folder(root).notes[2:] == [
        f"train: 1 image is in validation and in training, so validation metrics are too good: {copy} and"
        f" {root / 'train' / 'cat' / '0.png'}"
    ]


def test_every_image_of_a_folder_has_a_digest_and_both_parts_a_content(root: Path) -> None:
    train, test = read_folder(root).load()
    assert len(set(train.digests)) == 40
    assert len(test.digests) == 4
    assert len({train.content, test.content, ""}) == 3
    photograph(root / "train" / "cat" / "0.png", (1, 1, 1))
    assert read_folder(root).load()[0].content != train.content

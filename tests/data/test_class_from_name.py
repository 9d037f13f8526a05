"""Names of files that contain the class."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.data.samples import files_in, photograph, read_folder
from tests.data.test_layouts import CLASSES, refusal


def named_files(root: Path, count: int = 5) -> Path:
    """Images as Kaggle's cats against dogs has them."""
    for number in range(count):
        for name, shade in (("cat", 10), ("dog", 110)):
            photograph(root / f"{name}.{number}.png", (shade + number, 1, 1))
    return root


def test_names_of_files_hold_the_class(tmp_path: Path) -> None:
    named_files(tmp_path / "pets" / "train")
    for number in range(3):
        photograph(tmp_path / "pets" / "test1" / f"{number}.png", (200 + number, 1, 1))
    data = read_folder(tmp_path / "pets", label_pattern=r"^([a-z]+)\.")
    assert data.class_names == CLASSES
    assert all(name.startswith("train/") for name in files_in(data, "test"))
    assert [len(data.rows[split]) for split in ("train", "val", "test")] == [6, 2, 2]
    assert f"train: {tmp_path}/pets/test1 has no classes: its images are for predict.py" in data.notes
    for root in (tmp_path / "pets", tmp_path / "pets" / "train"):
        assert refusal(root).endswith(
            "which is no known layout; give two or more class folders, as cat/1.jpg and dog/1.jpg; or if file names"
            " hold the class, as in cat.1.jpg, data.label_pattern='^([a-z]+)'"
        )
    assert (
        len(read_folder(tmp_path / "pets" / "train", label_pattern=r"^([a-z]+)", test_fraction=0.2).rows["test"]) == 2
    )


@pytest.mark.parametrize(("places", "described"), [(("images",), "images"), (("camera 1", "camera 2"), "{root}")])
def test_files_with_the_class_in_their_names_can_be_deeper(
    places: tuple[str, ...], described: str, tmp_path: Path
) -> None:
    for number, place in enumerate(places):
        for path in named_files(tmp_path / "new").iterdir():
            path.rename(path.with_name(f"{path.stem}.{number}.png"))
        (tmp_path / "pets").mkdir(exist_ok=True)
        (tmp_path / "new").rename(tmp_path / "pets" / place)
    (tmp_path / "pets" / "annotations").mkdir()
    (tmp_path / "pets" / "annotations" / "list.txt").write_text("cat.0.png 1")
    data = read_folder(tmp_path / "pets", label_pattern=r"^([a-z]+)", test_fraction=0.5)
    assert data.class_names == CLASSES
    assert data.notes[0].endswith(f" images in {described.format(root=tmp_path / 'pets')}/")


def test_files_give_the_same_whether_names_or_folders_say_their_class(tmp_path: Path) -> None:
    by_name = read_folder(named_files(tmp_path / "flat"), label_pattern=r"^([a-z]+)")
    for path in (tmp_path / "flat").iterdir():
        new = tmp_path / "deep" / path.name.partition(".")[0] / path.name
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, new)
    by_folder = read_folder(tmp_path / "deep")
    for part in ("train", "test"):
        assert torch.equal(by_name.parts[part].pixels, by_folder.parts[part].pixels)
        assert torch.equal(by_name.parts[part].labels, by_folder.parts[part].labels)
    assert torch.equal(by_name.rows["val"], by_folder.rows["val"])


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("([a-z", "data.label_pattern=([a-z is not a regular expression: "),
        (
            "cat|dog",
            "data.label_pattern=cat|dog must have one group in brackets around the class, as in ^([a-z]+), not 0",
        ),
        ("(c)(a)", "must have one group in brackets around the class, as in ^([a-z]+), not 2"),
        ("^(cat)", "data.label_pattern=^(cat) matches 5 of 10 file names in "),
    ],
)
def test_a_pattern_that_cannot_be_one_is_refused(pattern: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(named_files(tmp_path / "pets"), label_pattern=pattern)

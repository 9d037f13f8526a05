"""Cats against dogs."""

from pathlib import Path

import pytest
import torch

from labbook.data.cats_dogs import CatsDogs
from labbook.errors import SettingError
from tests.data.samples import REAL, album, needs

CLASSES = ("cats", "dogs")


def test_photographs_are_read_from_the_folders_of_the_set(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"training_set": 3, "test_set": 1}, CLASSES)
    module = CatsDogs(root=str(root), normalize="unit", cache_dir=str(tmp_path / "cache"))
    train, test = module.load()
    assert train.pixels.shape == (6, 3, 256, 256)
    assert test.labels.tolist() == [0, 1]
    assert module.spec.class_names == CLASSES


def test_where_it_is_missing_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as refusal:
        CatsDogs(root=str(tmp_path / "pets"))
    assert str(refusal.value) == (
        f"data.root={tmp_path / 'pets'} does not exist; the cats-and-dogs photographs are free with an account: kaggle"
        " datasets download --unzip tongpython/cat-and-dog -p FOLDER, then data.root=FOLDER"
    )


def test_the_set_is_read_as_it_is_unpacked(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"training_set/training_set": 3, "test_set/test_set": 1}, CLASSES)
    for part in ("training_set/training_set/cats", "test_set/test_set"):
        (root / part / "_DS_Store").write_bytes(b"junk")
    module = CatsDogs(root=str(root), image_size=8, normalize="unit", cache_dir=str(tmp_path / "cache"))
    train, test = module.load()
    assert (len(train.labels), len(test.labels)) == (6, 2)
    assert train.files[0] == "training_set/training_set/cats/0.png"


@needs("cats_dogs")
def test_the_real_photographs_are_read(tmp_path: Path) -> None:
    module = CatsDogs(root=str(REAL / "cats_dogs"), image_size=32, normalize="unit", cache_dir=str(tmp_path))
    train, test = module.load()
    counted = [len(list((REAL / "cats_dogs" / part).rglob("*.jpg"))) for part in ("training_set", "test_set")]
    assert [len(train.labels), len(test.labels)] == counted
    assert module.class_names == CLASSES
    assert torch.bincount(train.labels).min() > 0.4 * counted[0]
    assert 0.3 < float(train.pixels.float().mean() / 255) < 0.6

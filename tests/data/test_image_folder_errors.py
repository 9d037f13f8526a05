"""What is wrong in an image folder is refused or noted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from labbook.data import datamodule, image_cache
from labbook.data.image_folder import ImageFolder
from labbook.errors import SettingError
from tests.conftest import Command
from tests.data.samples import album, loaders, photograph, prepared, truncate
from tests.data.test_image_folder import copy, folder, refusal
from tests.data.test_image_folder import root as root


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Pictures of 32 x 16 pixels: red, green in the middle, red."""
    root = album(tmp_path / "wide", {"train": 4, "test": 2})
    for number, file in enumerate(sorted(root.glob("*/*/*.png"))):
        picture = np.zeros((16, 32, 3), np.uint8)
        picture[:, :8, 0] = picture[:, 24:, 0] = picture[:, 8:24, 1] = 200
        picture[0, 0, 2] = number  # so that no two are the same
        Image.fromarray(picture).save(file)
    return root


@pytest.mark.parametrize(
    ("resize", "top", "middle"),
    [(None, "rggr", "rggr"), ("squash", "rggr", "rggr"), ("crop", "gggg", "gggg"), ("pad", "....", "rggr")],
)
def test_pictures_of_any_aspect_become_squares_as_asked(resize: str, top: str, middle: str, wide: Path) -> None:
    pixels = folder(wide, image_size=16, resize=resize).load()[0].pixels[0].long()

    def colours(row: int) -> str:
        shades = [pixels[:, row, column].tolist() for column in (1, 6, 9, 14)]
        return "".join("." if max(each) < 60 else "rg"[each.index(max(each))] for each in shades)

    assert (colours(1), colours(8)) == (top, middle)


@pytest.mark.parametrize("resize", [None, "crop", "pad"])
def test_training_images_are_stored_larger_than_the_network_sees_them(resize: str | None, wide: Path) -> None:
    module = folder(wide, image_size=8, decode_size=12, resize=resize, val_fraction=0.5, batch_size=4)
    module.setup()
    train, test = module.load()
    assert train.pixels.shape[2:] == (12, 12)
    assert test.pixels.shape[2:] == (8, 8)
    assert torch.equal(test.pixels, folder(wide, image_size=12, resize=resize).load()[1].pixels[..., 2:10, 2:10])


def test_boxes_are_cut_out_of_what_is_stored(wide: Path) -> None:
    options = {"image_size": 8, "decode_size": 12, "val_fraction": 0.5, "batch_size": 4, "normalize": "unit"}
    module = folder(wide, augment=[{"random_resized_crop": {"scale": [1, 1], "ratio": [1, 1]}}], **options)
    module.setup()
    train, val = (next(iter(loader)) for loader in loaders(module)[:2])
    stored = module.load()[0].pixels
    whole = F.interpolate(stored[train.rows], (8, 8), mode="bilinear", antialias=True)
    torch.testing.assert_close(prepared(module, train) * 255, whole.float())
    torch.testing.assert_close(prepared(module, val) * 255, stored[val.rows][..., 2:10, 2:10].float())


def test_no_image_is_stored_smaller_than_it_is_seen(root: Path) -> None:
    assert refusal(root, decode_size=4) == "data.decode_size=4 is less than data.image_size=8"


def test_a_root_must_be_given() -> None:
    with pytest.raises(SettingError) as refused:
        ImageFolder()
    assert str(refused.value) == "data.root is not set: give the folder of your images, data.root=FOLDER"


def test_a_root_that_does_not_exist_is_said_with_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusal(tmp_path / "nothing") == f"data.root={tmp_path / 'nothing'} does not exist"
    monkeypatch.chdir(tmp_path)
    assert refusal(Path("nothing")) == f"data.root=nothing does not exist in {tmp_path}"


def test_a_root_that_is_a_file_is_said(tmp_path: Path) -> None:
    file = photograph(tmp_path / "a.png")
    assert refusal(file) == f"data.root={file} is a file: give the folder of the images"


def test_one_image_of_each_class_cannot_be_divided(tmp_path: Path) -> None:
    root = album(tmp_path / "a", {"train": 1})
    said = f"{root / 'train'} has no class of two images, or groups, to divide into training and test"
    assert refusal(root) == said


def test_an_empty_class_is_said(root: Path) -> None:
    for path in (root / "train" / "dog").iterdir():
        path.unlink()
    assert refusal(root) == f"{root / 'train' / 'dog'} has no image: every class needs at least one"


def test_different_classes_are_said(root: Path) -> None:
    photograph(root / "train" / "cow" / "1.png")
    photograph(root / "train" / "ant" / "1.png")
    photograph(root / "test" / "owl" / "1.png")
    assert refusal(root) == (
        "training and test folders have different classes"
        f" (only in {root / 'train'}: ant, cow; only in {root / 'test'}: owl)"
    )


def test_a_class_in_one_part_only_is_said(root: Path) -> None:
    photograph(root / "test" / "owl" / "1.png")
    said = refusal(root)
    assert said == f"training and test folders have different classes (only in {root / 'test'}: owl)"


def test_unreadable_images_are_counted_and_listed(root: Path) -> None:
    bad = photograph(root / "train" / "dog" / "1.jpg", size=(60, 60))
    truncate(bad, 0.5)
    also = root / "test" / "cat" / "notes.png"
    also.write_text("bring milk")
    listing = root.parent / "cache" / "pets.unreadable.txt"
    for _ in range(2):  # the second time from the cache
        said = refusal(root)
        assert said.startswith(f"2 of 14 files cannot be read as images, the first is {bad}, which cannot be decoded (")
        assert said.endswith(f"; all are listed in {listing}; data.on_corrupt=skip leaves them out")
    lines = listing.read_text().splitlines()
    assert lines[0].startswith(f"{bad}, which cannot be decoded (")
    assert lines[1] == f"{also}, which is no image"


@pytest.mark.parametrize("part", ["train", "test"])
def test_unreadable_images_can_be_left_out(part: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = root / part / "dog" / "1.jpg"
    bad.write_text("no image")
    refusal(root)
    monkeypatch.setattr(image_cache, "decode", None)  # what was decoded before the refusal is not decoded again
    data = folder(root, on_corrupt="skip")
    data.setup()
    assert [len(data.parts[name].labels) for name in ("train", "test")] == [8, 4]
    assert data.notes[1:] == [f"{part}: 1 files left out, the first is {bad}, which is no image"]


def test_a_run_names_all_that_were_left_out_in_its_log_and_counts_them(labbook: Command, tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"train": 4, "test": 2})
    bad = [root / part / "dog" / f"{n}.jpg" for part, n in (("train", 7), ("train", 8), ("test", 9))]
    for path in bad:
        path.write_text("no image")
    run = labbook(
        "data=image_folder", f"data.root={root}", "data.on_corrupt=skip", "data.image_size=8", "model=mlp",
        "model.depth=1", "epochs=1", "logger=none",
    )  # fmt: skip
    assert run.code == 0, run.err
    log = (run.run / "train.log").read_text()
    for path in bad:
        assert f"left out {path}, which is no image" in log
    assert "train: 2 files left out, the first is " in run.out
    assert str(bad[1]) not in run.out
    assert json.loads((run.run / "metrics.json").read_text())["skipped_images"] == 3


def test_a_class_without_any_readable_image_is_said(root: Path) -> None:
    for path in (root / "test" / "dog").iterdir():
        path.write_text("no image")
    said = refusal(root, on_corrupt="skip")
    assert said == f"{root / 'test' / 'dog'} has no image that can be used: every class needs at least one"


def test_a_limit_that_keeps_one_class_is_said(root: Path) -> None:
    data = folder(root, limit=1, val_fraction=0)
    data.setup()
    assert data.notes[1:] == [
        f"{part}: data.limit=1 keeps only images of class {data.class_names[0]}" for part in ("train", "test")
    ]


def test_a_limit_keeps_images_of_all_classes(root: Path) -> None:
    data = folder(root, limit=2, val_fraction=0)
    data.setup()
    assert data.notes[1:] == []
    assert data.parts["train"].labels.tolist() == [0, 1]


def test_a_part_without_any_readable_image_is_said(root: Path) -> None:
    for path in (root / "test").rglob("*.png"):
        path.write_text("no image")
    said = refusal(root, on_corrupt="skip")
    assert said == f"images of {root / 'test'}: none of 4 files can be read as an image"


# Labels that could be wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("kind", ["copy", "link", "hard link"])
def test_an_image_in_two_classes_is_refused(kind: str, part: str, root: Path) -> None:
    """Also one that is a cat in training and a dog in the test."""
    cat, dog = root / "train" / "cat" / "0.png", root / part / "dog" / "also.png"
    {"copy": lambda: copy(cat, dog), "link": lambda: dog.symlink_to(cat), "hard link": lambda: dog.hardlink_to(cat)}[
        kind
    ]()
    listing = root.parent / "cache" / "pets.contradictions.txt"
    assert refusal(root) == (
        f"1 image is in two classes: {dog} and {cat} are the same file; all are listed in {listing}: delete the wrong"
        " ones, or leave both of each out with data.on_corrupt=skip"
    )
    assert listing.read_text() == f"{dog} and {cat}\n"


def test_images_in_two_classes_can_be_left_out(root: Path) -> None:
    copy(root / "train" / "cat" / "0.png", root / "test" / "dog" / "also.png")
    for _ in range(2):
        data = folder(root, on_corrupt="skip")
        data.setup()
        assert [part.labels.tolist() for part in data.parts.values()] == [[0] * 3 + [1] * 4, [0] * 2 + [1] * 2]
        assert data.parts["train"].pixels[:, 0, 0, 0].tolist() == list(range(2, 9))
        assert data.notes[1:] == [
            f"train: 1 files left out, the first is {root}/train/cat/0.png, which is in two classes",
            f"test: 1 files left out, the first is {root}/test/dog/also.png, which is in two classes",
        ]
        datamodule._recent.clear()


def test_training_images_in_the_test_are_said_in_every_run(root: Path) -> None:
    for number in (0, 1):
        copy(root / "train" / "cat" / f"{number}.png", root / "test" / "cat" / f"also{number}.png")
    for _ in range(2):
        data = folder(root)
        data.setup()
        assert data.notes[1:] == [
            f"test: 2 images are also in training, so test metrics are too good: {root}/test/cat/also0.png and"
            f" {root}/train/cat/0.png, and 1 more, listed in {root.parent}/cache/pets.leaks.txt"
        ]
    assert len((root.parent / "cache" / "pets.leaks.txt").read_text().splitlines()) == 2


def test_copies_within_a_class_are_said(root: Path) -> None:
    copy(root / "train" / "cat" / "0.png", root / "train" / "cat" / "copy.png")
    data = folder(root)
    data.setup()
    where = root.parent / "cache" / "pets.copies.txt"
    assert data.notes[1:] == [f"train: 1 image is the same file as another of their class and part, listed in {where}"]


def test_images_beside_the_classes_are_said(root: Path) -> None:
    photograph(root / "train" / "loose.jpg")
    (root / "train" / "labels.csv").write_text("no image")
    data = folder(root)
    data.setup()
    assert data.notes[1:] == [
        f"train: 1 image is left out, because they are in no class folder: {root}/train/loose.jpg"
    ]


def test_batches_come_from_the_memory_map(root: Path) -> None:
    module = folder(root, batch_size=3, val_fraction=0.25, shuffle=False)
    module.setup()
    batches = list(module.train_dataloader())
    pixels = torch.cat([batch.images for batch in batches])
    assert torch.equal(pixels, module.spec.normalize(module.parts["train"].pixels[module.rows["train"]]))
    assert module.train_dataloader().images.data_ptr() == module.load()[0].pixels.data_ptr()

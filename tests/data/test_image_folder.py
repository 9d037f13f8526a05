"""A folder for each class."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from labbook.data import datamodule, image_cache, photographs, resize
from labbook.data.decoding import decode
from labbook.data.image_folder import ImageFolder
from labbook.errors import SettingError
from tests.conftest import Command
from tests.data.odd_images import deep_png, gradient
from tests.data.samples import album, loaders, photograph, prepared, truncate


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return album(tmp_path / "pets", {"train": 4, "test": 2})


def folder(root: Path, **options: Any) -> ImageFolder:
    defaults = {"image_size": 8, "normalize": "unit", "cache_dir": str(root.parent / "cache")}
    return ImageFolder(root=str(root), **defaults | options)


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(SettingError) as refused:
        folder(root, **options).prepare_data()
    return str(refused.value)


def test_images_have_the_class_of_their_folder(root: Path) -> None:
    module = folder(root)
    assert module.class_names == ("cat", "dog")
    train, test = module.load()
    assert train.labels.tolist() == [0] * 4 + [1] * 4
    assert test.labels.tolist() == [0] * 2 + [1] * 2
    assert train.pixels.shape == (8, 3, 8, 8)
    assert test.files == ("test/cat/0.png", "test/cat/1.png", "test/dog/0.png", "test/dog/1.png")
    assert folder(root, limit=2).load()[1].files == ("test/cat/0.png", "test/dog/0.png")
    assert train.pixels[:, 0, 0, 0].tolist() == list(range(1, 9))  # the colours that `album` gave in this order
    assert test.pixels[:, 0, 0, 0].tolist() == list(range(9, 13))


def test_classes_are_sorted_whatever_the_disk_lists_first(tmp_path: Path) -> None:
    root = album(tmp_path / "a", {"train": 1, "test": 1}, classes=("zebra", "Ant", "cow", "10", "9"))
    assert folder(root).class_names == ("10", "9", "Ant", "cow", "zebra")
    assert folder(root).load()[0].pixels[:, 0, 0, 0].tolist() == [4, 5, 2, 3, 1]


def test_images_may_lie_in_folders_below_and_have_any_format(root: Path) -> None:
    photograph(root / "train" / "dog" / "holiday" / "beach.JPEG", (250, 250, 250))
    photograph(root / "train" / "dog" / "0.bmp", (249, 249, 249))
    shades = folder(root).load()[0].pixels[4:, 0, 0, 0].tolist()
    assert shades == [249, 5, 6, 7, 8, 250]


def test_what_systems_leave_beside_images_is_ignored(root: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", ".ipynb_checkpoints/0.png", "__MACOSX/0.png"):
        path = root / "train" / "cat" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no image")
    (root / "train" / ".cache").mkdir()
    (root / "train" / "labels.csv").write_text("no class")
    module = folder(root)
    assert module.class_names == ("cat", "dog")
    assert len(module.load()[0].labels) == 8


def test_junk_of_other_systems_is_ignored_and_sidecars_are_counted(root: Path) -> None:
    names = [
        "@eaDir/0.png/SYNOPHOTO_THUMB_XL.jpg", "_DS_Store", "ehthumbs.db", "Icon\r", "#recycle/1.png",
        "$RECYCLE.BIN/2.png", "lost+found/3.png", "System Volume Information/4.png",
    ]  # fmt: skip
    for name in names:
        photograph(root / "train" / "cat" / "a.png", (99, 99, 99)).rename(root / "train" / "cat" / "b")
        path = root / "train" / "cat" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (root / "train" / "cat" / "b").rename(path)
    (root / "train" / "@eaDir").mkdir()
    for name in ("0.json", "0.XML", "notes.txt"):
        (root / "train" / "cat" / name).write_text("{}")
    data = folder(root)
    data.setup()
    assert data.class_names == ("cat", "dog")
    assert data.parts["train"].pixels[:, 0, 0, 0].tolist() == list(range(1, 9))
    assert data.notes[1:] == [
        "train: 3 files next to the images are left out, because their names are not those of images (.json,"
        " .txt, .xml)"
    ]


def test_files_with_several_pictures_are_said(root: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (50, 60)]
    for name in ("a.tif", "b.gif"):
        frames[0].save(root / "train" / "cat" / name, save_all=True, append_images=frames[1:])
    for _ in range(2):  # also from the cache
        data = folder(root)
        data.setup()
        assert data.notes[1:] == [
            f"train: 2 images have several images, of which the first is used: {root}/train/cat/a.tif, and 1 more"
        ]
        datamodule._recent.clear()


def test_a_set_larger_than_the_memory_is_trained_on_from_the_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resize, "machine_memory", lambda: 100)  # bytes
    data = folder(root, limit=7)
    data.setup()
    assert len(list(data.train_dataloader())) == 1
    assert len(data.parts["train"].labels) == 7


def test_a_limit_decodes_no_more_than_it_keeps(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(image_cache, "decode", lambda path, how: seen.append(path) or decode(path, how))
    folder(root, limit=2).setup()
    assert [path.relative_to(root).as_posix() for path in seen] == [
        "train/cat/0.png", "train/dog/0.png", "test/cat/0.png", "test/dog/0.png"
    ]  # fmt: skip


def test_pixels_of_many_bits_are_seen_in_their_range(root: Path) -> None:
    deep_png(root / "train" / "cat" / "0.png", gradient(4095))
    data = folder(root)
    data.setup()
    assert data.notes[1].startswith(
        "train: 1 image has 16-bit pixels of which only 12 bits are used, so the image is dark"
    )
    assert folder(root, range=[0, 4095]).load()[0].pixels[0].max() > 240
    assert folder(root, range="auto").load()[0].pixels[0].max() > 240
    assert refusal(root, range=[9, 9]).startswith("data.range=[9.0, 9.0] must be of two numbers, black and white")


@pytest.mark.parametrize("long", [False, True])
def test_a_listing_that_cannot_be_written_is_done_without(long: bool, tmp_path: Path) -> None:
    root = album(tmp_path / ("p" * 250 if long else "pets"), {"train": 4, "test": 2})
    copy(root / "train" / "cat" / "0.png", root / "train" / "cat" / "copy.png")
    (root / "train" / "cat" / "text.png").write_text("no image")
    if not long:
        (tmp_path / "cache" / "pets.copies.txt").mkdir(parents=True)
        (tmp_path / "cache" / "pets.unreadable.txt").mkdir()
    data = folder(root, on_corrupt="skip")
    data.setup()
    assert "train: 1 image is the same file as another of their class and part" in " ".join(data.notes)
    assert refusal(root).endswith("data.on_corrupt=skip leaves them out")


def test_a_hidden_folder_above_hides_nothing(tmp_path: Path) -> None:
    assert len(folder(album(tmp_path / ".data", {"train": 1, "test": 1})).load()[0].labels) == 2


def test_the_two_folders_may_have_other_names(tmp_path: Path) -> None:
    root = album(tmp_path / "a", {"training_set": 3, "held_out": 1})
    train, test = folder(root, train_folder="training_set", test_folder="held_out").load()
    assert (len(train.labels), len(test.labels)) == (6, 2)


def test_a_home_folder_may_be_written_short(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    module = ImageFolder(root="~/pets", normalize="unit", cache_dir="~/cache")
    module.prepare_data()
    assert len(list((root.parent / "cache").glob("*.pixels"))) == 2


def test_grey_is_decoded_as_grey(root: Path) -> None:
    module = folder(root, channels=1)
    assert module.load()[0].pixels.shape == (8, 1, 8, 8)
    assert module.spec.channels == 1
    assert module.load()[0].pixels[0, 0, 0, 0] == round(0.299 * 1 + 0.587 * 2 + 0.114 * 254)


def test_a_set_of_its_own_figures_must_be_told_them(root: Path) -> None:
    assert refusal(root, normalize="dataset").startswith(
        "data.normalize=dataset: this data set has no known mean and std"
    )


def test_an_equal_module_neither_reads_nor_decodes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = folder(root).load()
    monkeypatch.setattr(photographs, "cached_images", None)
    assert folder(root, batch_size=2, shuffle=False).load()[0].pixels is first[0].pixels


@pytest.mark.parametrize(
    "option", [{"channels": 1}, {"image_size": 4}, {"limit": 3}, {"on_corrupt": "skip"}, {"cache_dir": "other"}]
)
def test_other_settings_are_not_taken_from_memory(
    option: dict[str, Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    first = folder(root).load()
    assert folder(root, **option).load()[0].pixels is not first[0].pixels


def test_one_set_of_photographs_can_be_shown_at_two_sizes(root: Path) -> None:
    assert folder(root, image_size=8).load()[0].pixels.shape[-1] == 8
    assert folder(root, image_size=5).load()[0].pixels.shape[-1] == 5


# What is wrong is said -----------------------------------------------------------------------------------------------


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


def copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, target))


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

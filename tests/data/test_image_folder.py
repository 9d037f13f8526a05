"""A folder for each class."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from labbook.data import datamodule, image_cache, photographs, resize
from labbook.data.decoding import decode
from labbook.data.image_folder import ImageFolder
from labbook.errors import SettingError
from tests.data.odd_images import deep_png, gradient
from tests.data.samples import album, photograph


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


def copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, target))


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
        "$RECYCLE.BIN/2.png", "lost+found/3.png", "System Volume Information/4.png", "Picasa.ini", "ZbThumbnail.info",
        "@SynoResource",
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
            f"train: 2 images have several images: the first is used: {root}/train/cat/a.tif, and 1 more"
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
    assert data.notes[1].startswith("train: 1 image has 16-bit pixels that use only 12 bits, so the image is dark")
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

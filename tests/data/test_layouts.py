"""Folders as people have them: which of their images are for training, for validation and for the test."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from labbook.cli.commands import evaluate, predict
from labbook.data import datamodule
from labbook.data.image_folder import ImageFolder
from labbook.data.layouts import role_of
from labbook.errors import SettingError
from labbook.inference.evaluate import output_files
from tests.cases import each_case
from tests.conftest import Command
from tests.data.samples import album, files_in, photograph, read_folder
from tests.test_train import metrics_of

CLASSES = ("cat", "dog")


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(SettingError) as refused:
        read_folder(root, **options)
    return str(refused.value)


def tops(data: ImageFolder) -> list[set[str]]:
    """The folders that images of each part lie in."""
    return [{str(Path(name).parent.parent) for name in files_in(data, split)} for split in ("train", "val", "test")]


@each_case(
    ("name", "role"),
    [
        ("train", "train"), ("Training", "train"), ("training_set", "train"), ("TrainSet", "train"),
        ("train-images", "train"), ("valid", "val"), ("Validation", "val"), ("val_set", "val"), ("testing", "test"),
        ("test1", "test"), ("TEST", "test"), ("train_station", None), ("latest", None), ("train_test", None),
        ("cats", None), ("dev", None),
    ],
)  # fmt: skip
def test_what_a_folder_is_for_follows_from_its_name(name: str, role: str | None) -> None:
    assert role_of(name) == role


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        (("train", "val", "test"), "train val test"),
        (("Training", "Validation", "Testing"), "Training Validation Testing"),
        (("training_set", "valid", "test_set"), "training_set valid test_set"),
        (("train", "test"), "train train test"),
        (("train", "val"), "train train val"),
        (("train",), "train train train"),
        (("archive/train", "archive/test"), "archive/train archive/train archive/test"),
        (("training_set/training_set", "test_set/test_set"), "training_set/training_set "*2 + "test_set/test_set"),
        (("seg_train/seg_train", "seg_test/seg_test"), "seg_train/seg_train "*2 + "seg_test/seg_test"),
        (("train/images", "val/images"), "train/images train/images val/images"),
        (("a/b/train", "a/b/valid", "a/b/test"), "a/b/train a/b/valid a/b/test"),
        (("",), ". . ."),
        (("PetImages",), "PetImages PetImages PetImages"),
    ],
)  # fmt: skip
def test_layouts_are_taken_and_said(parts: tuple[str, ...], found: str, tmp_path: Path) -> None:
    root = album(tmp_path / "pets", dict.fromkeys(parts, 5), CLASSES)
    (root / "README.md").write_text("about")
    data = read_folder(root)
    assert tops(data) == [{each} for each in found.split()]
    line = data.notes[0]
    assert line.startswith("layout: training")
    assert all(f"{name}/" in line or name == "." for name in parts)
    assert ("data.test_fraction=0.2" in line) == (len(set(found.split())) == 1)
    assert sum(len(data.rows[split]) for split in ("train", "val", "test")) == 10 * len(parts)
    assert not files_in(data, "test") & (files_in(data, "train") | files_in(data, "val"))
    assert not any("is not used" in note for note in data.notes)


def test_a_test_fraction_makes_of_val_the_validation_part(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"train": 10, "val": 3}, CLASSES)
    data = read_folder(root, test_fraction=0.3)
    assert tops(data) == [{"train"}, {"val"}, {"train"}]
    assert [len(data.rows[split]) for split in ("train", "val", "test")] == [14, 6, 6]


def test_a_test_fraction_that_has_no_effect_is_said(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"train": 3, "test": 1}, CLASSES)
    assert read_folder(root, test_fraction=0.3).notes[1] == (
        f"data.test_fraction has no effect, as {root / 'test'} is the test set"
    )


def test_folders_that_are_named_are_taken(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"old": 3, "new": 2, "train": 1, "test": 1}, CLASSES)
    assert tops(read_folder(root, train_folder="old", test_folder="new"))[::2] == [{"old"}, {"new"}]
    assert refusal(root, train_folder="elsewhere") == (
        f"data.train_folder=elsewhere does not exist in {root}: it holds new/, old/, test/, train/"
    )


# What is refused, or said --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["test", "test/images", "Testing/unknown", "test/test"])
def test_an_unlabelled_test_folder_is_for_predictions(place: str, tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"train": 5}, CLASSES)
    photograph(root / place / "1.png")
    data = read_folder(root)
    assert tops(data) == [{"train"}] * 3
    assert data.notes[1:] == [f"train: {root / place} has no classes: its images are for predict.py"]


def test_a_layout_that_is_not_known_is_refused_with_what_is_there(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    root.mkdir()
    assert refusal(root) == (
        f"{root}: it is empty, which is no known layout; give a folder with train/CLASS/*, test/CLASS/*, or CLASS/*"
    )
    album(root, {"val": 1, "test": 1}, CLASSES)
    assert refusal(root) == (
        f"{root}: it holds test/, val/, which is no known layout; name the parts with data.train_folder=NAME"
        " data.test_folder=NAME, or give CLASS/* or train/CLASS/*"
    )
    (root / "labels.csv").write_text("image,label")
    assert refusal(root).endswith(
        f"it holds test/, val/ and labels.csv, which is no known layout; a table of labels is data=table"
        f" data.labels={root / 'labels.csv'} data.root={root}"
    )


def test_parts_within_the_classes_are_refused(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"": 2}, ("cat/train", "cat/test", "dog/train", "dog/test"))
    assert refusal(root) == (
        f"{root / 'cat'} holds test: the parts must be above the classes, as in test/cat; or list the images in a table"
        " (data=table)"
    )


def test_a_training_part_beside_a_test_part_is_not_divided_unasked(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"train": 5, "test": 5}, CLASSES)
    assert refusal(root / "train") == (
        f"{root / 'train'} lies beside test: data.root={root} takes both, and data.test_fraction=0.2 divides this"
        " folder alone"
    )
    assert len(read_folder(root / "train", test_fraction=0.2).rows["test"]) == 2


def test_names_of_classes_are_not_taken_for_parts(tmp_path: Path) -> None:
    root = album(tmp_path / "signs", {"": 3}, ("train", "bus", "test_tube"))
    assert read_folder(root).class_names == ("bus", "test_tube", "train")
    root = album(tmp_path / "places", {"train_station/2020": 3, "bus_stop/2020": 3}, CLASSES)
    assert read_folder(root).class_names == ("bus_stop", "train_station")


def test_class_folders_that_all_hold_the_same_folders_are_said(tmp_path: Path) -> None:
    data = read_folder(album(tmp_path / "pets", {"camera_1": 3, "camera_2": 3}, CLASSES))
    assert data.class_names == ("camera_1", "camera_2")
    assert data.notes[1] == (
        "train: each class folder holds cat, dog: if these are the classes, list the images in a table (data=table)"
    )


def test_a_hidden_class_is_said(tmp_path: Path) -> None:
    root = album(tmp_path / "pets", {"train": 3, "test": 1}, CLASSES)
    photograph(root / "train" / ".emu" / "1.png")
    photograph(root / "train" / ".ipynb_checkpoints" / "1.png")
    assert read_folder(root).notes[1:] == [f"train: {root}/train/.emu is hidden, so its images are not used"]


# In runs -------------------------------------------------------------------------------------------------------------

RUN = ("data=image_folder", "data.image_size=8", "model=mlp", "callbacks=none", "logger=none")


@pytest.mark.slow
def test_a_run_on_one_folder_is_tested_resumed_and_repeated_on_the_same_images(
    labbook: Command, script: Callable[[ModuleType], Command], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_files, "evaluation_plots", lambda *_: {})
    root = album(tmp_path / "pets", {"": 10}, CLASSES)
    other = album(tmp_path / "others", {"": 4}, CLASSES)
    run = labbook(*RUN, "data.root=pets", "epochs=1").run
    record = metrics_of(run)["data"]
    assert [record[part]["images"] for part in ("train", "val", "test")] == [16, 2, 4]
    assert "test_fraction: 0.2" in (run / "config.yaml").read_text()
    datamodule._recent.clear()
    again = script(evaluate)(str(run))
    assert again.code == 0, again.err
    assert "note" not in again.err
    assert script(predict)(str(run), "--test-index", "3").code == 0
    assert "has images 0 to 3" in script(predict)(str(run), "--test-index", "4").err
    elsewhere = script(evaluate)(str(run), f"data.root={other}")
    assert elsewhere.code == 0, elsewhere.err
    assert "has no folder of test images, so its own folders are used as classes" in elsewhere.err
    assert re.search(r"^cat .* 4$", elsewhere.out, re.MULTILINE), elsewhere.out
    assert labbook(f"resume={run}", "epochs=2").code == 0
    photograph(root / "cat" / "new.png", (250, 9, 9))
    datamodule._recent.clear()
    assert "the data is not what" in labbook(f"resume={run}", "epochs=3").err


@pytest.mark.slow
def test_a_sweep_on_one_folder_goes_on(labbook: Command, undrawn: None, tmp_path: Path) -> None:
    album(tmp_path / "pets", {"": 6}, CLASSES)
    words = ("-m", *RUN, "data.root=pets", "epochs=1", "sweep.name=s")
    assert labbook(*words, "seed=1").code == 0
    ended = labbook(*words, "seed=1,2")
    assert ended.code == 0, ended.err
    assert len(list((ended.run).glob("*/metrics.json"))) == 2


# Names of folders on a command line ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("2024", "data.root='2024'"),
        ("a,b", "data.root='a,b'"),
        pytest.param("x=y", "data.root='x=y'", marks=pytest.mark.slow),
        pytest.param("a[1]", "data.root='a[1]'", marks=pytest.mark.slow),
        ("my photos", None),
        ("~pets", None),
    ],
)
def test_a_folder_of_any_name_is_taken_or_the_quotes_are_said(
    name: str, written: str | None, labbook: Command, tmp_path: Path
) -> None:
    album(tmp_path / name, {"": 3}, CLASSES)
    ended = labbook(*RUN, f"data.root={name}", "data.drop_last=true")  # refused after the images were read
    if written is not None:
        assert f'"{written}"' in ended.err
        ended = labbook(*RUN, written, "data.drop_last=true")
    assert ended.code == 2
    assert "data.drop_last=true leaves out the only batch" in ended.err


def test_a_home_folder_needs_no_quotes(labbook: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"data.root={tmp_path / 'photos'} does not exist" in labbook(*RUN, "data.root=~/photos").err
    assert f"data.root=photos does not exist in {tmp_path}" in labbook(*RUN, "data.root=photos").err

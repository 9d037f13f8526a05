"""Labels in a table."""

import csv
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labbook.data.image_folder import ImageFolder
from labbook.data.table import LabelTable
from labbook.errors import SettingError
from tests.conftest import Command
from tests.data.samples import album, few, files_in, photograph, read_small

CLASSES = ("cat", "dog")


def write(path: Path, rows: Sequence[Sequence[Any]], separator: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


def table(labels: Path, **options: Any) -> LabelTable:
    return read_small(LabelTable, labels, labels=str(labels), **options)


def refusal(labels: Path, **options: Any) -> str:
    with pytest.raises(SettingError) as refused:
        table(labels, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten images of two classes, a.0.png to b.4.png, without folders."""
    for number in range(5):
        for shade, name in ((10, "a"), (110, "b")):
            photograph(tmp_path / "photos" / f"{name}.{number}.png", (shade + number, 1, 1))
    return tmp_path / "photos"


def rows_of(photos: Path) -> list[tuple[str, str]]:
    return [(path.name, path.name[0]) for path in sorted(photos.glob("*.png"))]


@pytest.mark.parametrize("parts", [("train", "test"), ("train", "val", "test"), ("train", "val"), ("",)])
def test_a_folder_and_its_table_are_the_same_to_the_bit(parts: tuple[str, ...], tmp_path: Path) -> None:
    root = album(tmp_path / "pets", dict.fromkeys(parts, 6), CLASSES)
    paths = sorted(root.rglob("*.png"), reverse=True)
    names = [path.relative_to(root).as_posix() for path in paths]
    split = [name.split("/")[0] for name in names]
    rows = [(name, path.parent.name, part) for name, path, part in zip(names, paths, split, strict=True)]
    whole = [("file", "label", "split"), *rows]
    labels = write(tmp_path / "labels.csv", whole if parts != ("",) else [row[:2] for row in whole])
    defaults: dict[str, Any] = {"image_size": 4, "normalize": "unit", "cache_dir": str(tmp_path / "cache")}
    by_folder, by_table = ImageFolder(root=str(root), **defaults), table(labels, root=str(root))
    by_folder.setup()
    assert by_table.class_names == by_folder.class_names
    for part in ("train", "test"):
        one, other = by_folder.parts[part], by_table.parts[part]
        assert (one.files, one.content) == (other.files, other.content)
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.labels, other.labels)
    for name in ("train", "val", "test"):
        assert torch.equal(by_folder.rows[name], by_table.rows[name])  # type: ignore[index]


@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_columns_are_found_by_usual_names_and_said(ending: str, separator: str, photos: Path) -> None:
    labels = write(photos / f"labels.{ending}", [("Image_ID", "breed"), *rows_of(photos)], separator)
    data = table(labels)
    assert data.class_names == ("a", "b")
    assert data.notes[0] == (
        "table: columns image in Image_ID, label in breed (2 classes); test images drawn (data.test_fraction=0.2)"
    )
    assert [len(data.rows[split]) for split in ("train", "val", "test")] == [6, 2, 2]


def test_columns_can_be_named(photos: Path) -> None:
    labels = write(photos / "x.csv", [("where", "what"), *rows_of(photos)])
    assert refusal(labels) == (
        f"{labels} has the columns where, what: name the one for the image with data.columns.image=NAME"
    )
    assert table(labels, columns={"image": "where", "label": "what"}).class_names == ("a", "b")
    assert "data.columns.label=whot: " in refusal(labels, columns={"image": "where", "label": "whot"})
    assert "did you mean what? columns: what, where" in refusal(labels, columns={"image": "where", "label": "whot"})


def test_names_may_lack_their_ending_and_folder(photos: Path) -> None:
    (photos / "deep").mkdir()
    (photos / "a.0.png").rename(photos / "deep" / "a.0.png")
    names = [(f"{name[0]}.{number}", name[0]) for number in range(5) for name in ("a", "b")]
    assert len(table(write(photos / "labels.csv", [("id", "label"), *names])).parts["train"].files) == 8
    photograph(photos / "other" / "a.0.png")
    assert "a.0 could be " in refusal(photos / "labels.csv")


def test_paths_of_windows_are_read(photos: Path) -> None:
    rows = [(f"photos\\{name}", label) for name, label in rows_of(photos)]
    data = table(write(photos.parent / "labels.csv", [("path", "label"), *rows]))
    assert data.parts["train"].files[0] == "photos/a.0.png"


def test_several_classes_stand_in_one_cell_or_in_several_columns(photos: Path) -> None:
    tags = ["a", "a|b", "b|c", "c", "a|c"] * 2
    one = write(photos / "cells.csv", [("id", "tags"), *zip([name for name, _ in rows_of(photos)], tags, strict=True)])
    hot = [[name, *(int(each in tag) for each in "abc")] for (name, _), tag in zip(rows_of(photos), tags, strict=True)]
    other = write(photos / "columns.csv", [("id", "a", "b", "c"), *hot])
    data = table(one, label_separator="|")
    assert (data.spec.multilabel, data.class_names) == (True, ("a", "b", "c"))
    same = table(other, columns={"label": ["a", "b", "c"]})
    assert data.parts["train"].labels.shape[1] == 3
    for part in ("train", "test"):
        assert torch.equal(data.parts[part].labels, same.parts[part].labels)
        assert data.parts[part].files == same.parts[part].files
    hot[0][1] = 7
    write(other, [("id", "a", "b", "c"), *hot])
    assert "column a must have 0 or 1 for each image, not '7'" in refusal(other, columns={"label": ["a", "b", "c"]})


@few
@given(members=st.lists(st.integers(0, 4), min_size=10, max_size=10), fraction=st.floats(0.1, 0.7))
def test_a_group_lies_in_one_part(
    members: list[int], fraction: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    photos = tmp_path_factory.mktemp("grouped")
    rows = [(f"{number}.png", "ab"[number % 2], f"p{member}") for number, member in enumerate(members)]
    for number in range(10):
        photograph(photos / f"{number}.png", (number, 9, 9), (2, 2))
    rows += [("x.png", "a", "p7"), ("y.png", "b", "p8")]
    photograph(photos / "x.png", (99, 9, 9), (2, 2))
    photograph(photos / "y.png", (98, 9, 9), (2, 2))
    labels = write(photos / "l.csv", [("image", "label", "patient"), *rows])
    data = table(labels, group="patient", test_fraction=fraction, val_fraction=0.3)
    of = {name: group for name, _, group in rows}
    parts = [{of[name] for name in files_in(data, split)} for split in ("train", "val", "test")]
    assert sum(map(len, parts)) == len(set(of.values()))
    assert set(data.training_labels.tolist()) == {0, 1}


def test_groups_that_cannot_be_kept_are_refused(photos: Path) -> None:
    rows = [(*row, "train" if number else "test", "p1") for number, row in enumerate(rows_of(photos))]
    labels = write(photos / "labels.csv", [("image", "label", "split", "patient"), *rows])
    assert refusal(labels, group="patient") == "group p1 is in test and in train: a group must be in one part"
    assert refusal(labels, group="patient", val_split="random") == (
        "data.val_split=random would divide groups: use stratified"
    )
    assert "data.group=camera: " in refusal(labels, group="camera")


@pytest.mark.parametrize("missing", ["", "NaN"])
def test_rows_without_a_label_are_for_predictions(missing: str, photos: Path) -> None:
    rows = [(name, missing if name == "a.0.png" else label) for name, label in rows_of(photos)]
    data = table(write(photos / "labels.csv", [("image", "label"), *rows]))
    assert data.class_names == ("a", "b")
    assert "train: 1 rows without a label are for predict.py" in data.notes
    assert "a.0.png" not in files_in(data, "train") | files_in(data, "test") | files_in(data, "val")


def test_what_a_table_cannot_be_is_refused(photos: Path) -> None:
    labels = photos / "labels.csv"
    assert refusal(labels) == f"data.labels={labels} does not exist"
    write(labels, [("image", "label"), ("a.0.png", "a", "b")])
    assert refusal(labels) == f"data.labels={labels} has 2 columns, and 3 cells in row 1: a.0.png,a,b"
    write(labels, [("image", "label"), *rows_of(photos), ("gone.png", "a")])
    assert refusal(labels).startswith(f"1 of 11 images of the table do not exist in data.root={photos} (gone.png)")
    assert "train: 1 images do not exist" in table(labels, on_corrupt="skip").notes
    write(labels, [("image", "label"), *rows_of(photos), ("a.0.png", "b")])
    assert refusal(labels).startswith(f"{labels} has a.0.png twice, with different cells")
    write(labels, [("image", "label", "split"), *((*row, "traim") for row in rows_of(photos))])
    assert refusal(labels) == "column split must say train, val or test of each image, not 'traim'"
    write(labels, [("image", "label"), *((name, "a") for name, _ in rows_of(photos))])
    assert refusal(labels) == f"column label of {labels} must have two or more classes, not a"
    labels.write_bytes("image;label\na.0.png;\u00e9".encode("cp1252"))
    assert refusal(labels) == f"data.labels={labels} is not text in UTF-8: save it as CSV in UTF-8"
    assert refusal(photos) == f"data.labels={photos} is a folder: give the table"


def test_a_run_takes_a_table(labbook: Command, photos: Path) -> None:
    write(photos / "labels.csv", [("image", "tags"), *rows_of(photos)])
    run = labbook(
        "data=table", "data.labels=photos/labels.csv", "data.columns.label=tags", "data.image_size=8", "model=mlp",
        "callbacks=none", "logger=none", "epochs=1",
    )  # fmt: skip
    assert run.code == 0, run.err
    assert "table: columns image in image, label in tags (2 classes)" in run.out + run.err


@pytest.mark.skipif(not find_spec("pyarrow"), reason="needs the extra: make setup EXTRAS=datasets")
@pytest.mark.extra
def test_a_parquet_table_reads_as_text_does(photos: Path, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = [(name, label, place % 5) for place, (name, label) in enumerate(rows_of(photos))]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(("file", "label", "site"))}
    parquet.write_table(pyarrow.table(columns), tmp_path / "labels.parquet")
    text = write(tmp_path / "labels.csv", [list(columns), *rows])
    one, other = (table(labels, root=str(photos), group="site") for labels in (tmp_path / "labels.parquet", text))
    assert (one.class_names, one.spec) == (other.class_names, other.spec)
    for split in ("train", "val", "test"):
        assert files_in(one, split) == files_in(other, split) != set()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no table PAR1")
    assert refusal(tmp_path / "broken.parquet").startswith(f"data.labels={tmp_path}/broken.parquet cannot be read: ")

"""Sets as the library of the Hugging Face hub saves them."""

from collections.abc import Mapping
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from labbook.data import huggingface
from labbook.data.huggingface import HuggingFace
from labbook.errors import SettingError

pytestmark = pytest.mark.extra
needs_datasets = pytest.mark.skipif(not find_spec("datasets"), reason="needs the extra: make setup EXTRAS=datasets")


def png(label: int, number: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (9, 7), (20 * label + 10, number, 0)).save(file, "PNG")
    return file.getvalue()


def saved(folder: Path, counts: Mapping[str, int], unlabelled: str = "", **columns: Any) -> Path:
    """A set of three classes on disk, `counts` images in each split."""
    from datasets import ClassLabel, Dataset, DatasetDict, Features
    from datasets import Image as ImageFeature

    features = Features(
        {"picture": ImageFeature(), "kind": ClassLabel(names=["ape", "bee", "cat"]), **columns}  # type: ignore[no-untyped-call]
    )
    splits = {}
    for split, count in counts.items():
        labels = [row % 3 for row in range(count)]
        rows: dict[str, list[Any]] = {
            "picture": [{"bytes": png(label, row), "path": None} for row, label in enumerate(labels)],
            "kind": [-1] * count if split == unlabelled else labels,
            **dict.fromkeys(columns, labels),
        }
        splits[split] = Dataset.from_dict(rows, features=features)
    DatasetDict(splits).save_to_disk(str(folder))
    return folder


def opened(folder: Path, **options: Any) -> HuggingFace:
    module = HuggingFace(name=str(folder), **{"image_size": 8, **options})
    module.setup()
    return module


def counts(module: HuggingFace) -> list[int]:
    return [len(module.rows[part]) for part in ("train", "val", "test")]


def of_its_colour(module: HuggingFace) -> bool:
    parts = module.parts.values()
    return all(torch.equal(part.pixels[:, 0, 0, 0].long(), 20 * part.labels + 10) for part in parts)


@needs_datasets
def test_columns_are_found_by_their_features_and_splits_by_their_names(tmp_path: Path) -> None:
    module = opened(saved(tmp_path / "set", {"train": 12, "validation": 6, "test": 9}))
    assert (module.class_names, module.spec.channels, module.title) == (("ape", "bee", "cat"), 3, str(tmp_path / "set"))
    assert counts(module) == [12, 6, 9]
    assert of_its_colour(module)
    assert counts(opened(tmp_path / "set", folds=3, fold=1)) == [12, 6, 9]
    assert counts(opened(tmp_path / "set", validation="test")) == [12, 9, 9]
    assert counts(opened(tmp_path / "set", limit=2, val_fraction=0.5)) == [1, 1, 2]  # without the validation split
    few = opened(tmp_path / "set", limit=6)
    assert counts(few) == [4, 2, 6]
    assert of_its_colour(few)
    alone = opened(tmp_path / "set", only="test")
    assert [len(alone.parts[part].labels) for part in ("train", "test")] == [0, 9]


@needs_datasets
def test_sets_with_fewer_splits(tmp_path: Path) -> None:
    assert counts(opened(saved(tmp_path / "two", {"train": 12, "validation": 6}))) == [9, 3, 6]
    one = opened(saved(tmp_path / "one", {"train": 30}))
    assert counts(one) == [21, 3, 6]
    assert one.notes[0].endswith("one has no test set: 20% of each class, by a hash of the images, is used")
    with pytest.raises(SettingError, match="has no split train with labels, but test"):
        opened(saved(tmp_path / "none", {"test": 3}))


@needs_datasets
def test_a_split_without_labels_is_not_used(tmp_path: Path) -> None:
    module = opened(saved(tmp_path / "set", {"train": 12, "validation": 6, "test": 9}, unlabelled="test"))
    assert counts(module)[2] == 6
    assert "train: split test has no labels and is not used" in module.notes
    with pytest.raises(SettingError, match=r"has no split train with labels, but train, test$"):
        opened(saved(tmp_path / "none", {"train": 12, "test": 9}, unlabelled="train"))


@needs_datasets
def test_several_columns_are_chosen_from(tmp_path: Path) -> None:
    from datasets import ClassLabel

    folder = saved(tmp_path / "set", {"train": 12, "test": 3}, colour=ClassLabel(names=["r", "g", "b"]))
    with pytest.raises(SettingError, match=r"needs one column of ClassLabel and has 2, in picture \(Image\), kind"):
        opened(folder)
    assert opened(folder, label_column="colour").class_names == ("r", "g", "b")
    with pytest.raises(SettingError, match=r"data\.label_column=color is no column of ClassLabel; did you mean colour"):
        opened(folder, label_column="color")


@needs_datasets
def test_labels_without_names_are_refused(tmp_path: Path) -> None:
    from datasets import Value, load_from_disk

    both = load_from_disk(str(saved(tmp_path / "set", {"train": 12}, number=Value("int64"))))
    both.remove_columns("kind").save_to_disk(str(tmp_path / "other"))
    for options in ({}, {"label_column": "number"}):
        with pytest.raises(SettingError, match=r"has no column of ClassLabel, but picture \(Image\), number"):
            opened(tmp_path / "other", **options)


@needs_datasets
def test_what_cannot_be_loaded_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    for name in ("nobody/nothing", str(tmp_path)):
        with pytest.raises(SettingError, match=f"data.name={name} cannot be loaded ") as refused:
            opened(Path(name), root=str(tmp_path / "cache"))
        assert "\n" not in str(refused.value)
    with pytest.raises(SettingError, match=r"data\.options\.revison is unknown; did you mean revision"):
        opened(tmp_path, options={"revison": "x"})


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface, "find_spec", lambda _: None)
    with pytest.raises(SettingError, match="its library is not installed: make setup EXTRAS=datasets"):
        HuggingFace(name="owner/name")
    with pytest.raises(SettingError, match=r"data\.name is not set: give a set of the Hugging Face hub"):
        HuggingFace()

"""Sets of torchvision by name whose images are files, on small folders as torchvision unpacks them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from labbook.data.torchvision_by_name import TorchvisionByName
from tests.data.samples import photograph
from tests.data.test_torchvision_by_name import needs_scipy, opened, refusal


def shade(path: Path, label: int) -> Path:
    return photograph(path, (20 * label + 10, 0, 0), (70, 60))


def write_pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    for part, names in {"trainval": ["Abyssinian_1", "pug_1", "pug_2"], "test": ["Abyssinian_3", "pug_3"]}.items():
        labels = [int(name.startswith("pug")) for name in names]
        lines = "".join(f"{name} {label + 1} {label + 1} 1\n" for name, label in zip(names, labels, strict=True))
        (base / "annotations" / f"{part}.txt").write_text(lines)
        for name, label in zip(names, labels, strict=True):
            shade(base / "images" / f"{name}.jpg", label)


def write_food(root: Path) -> None:
    base = root / "food-101"
    (base / "meta").mkdir(parents=True)
    for part, numbers in {"train": (1, 2, 3), "test": (4, 5)}.items():
        listed = {name: [f"{name}/{number}" for number in numbers] for name in ("apple_pie", "sushi")}
        (base / "meta" / f"{part}.json").write_text(json.dumps(listed))
        for label, names in enumerate(listed.values()):
            for name in names:
                shade(base / "images" / f"{name}.jpg", label)


def write_gtsrb(root: Path) -> None:
    base = root / "gtsrb"
    rows = []
    for label in range(2):
        for number in range(3):
            shade(base / "GTSRB" / "Training" / f"{label:05}" / f"{number}.ppm", label)
        shade(base / "GTSRB" / "Final_Test" / "Images" / f"{label}.ppm", label)
        rows.append(f"{label}.ppm;{label}\n")
    (base / "GT-final_test.csv").write_text("Filename;ClassId\n" + "".join(rows))


def write_dtd(root: Path) -> None:
    base = root / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    for number, part in enumerate(("train", "val", "test")):
        names = ["banded", "woven"]
        (base / "labels" / f"{part}1.txt").write_text("".join(f"{name}/{number}.jpg\n" for name in names))
        for label, name in enumerate(names):
            shade(base / "images" / name / f"{number}.jpg", label)


def write_aircraft(root: Path) -> None:
    data = root / "fgvc-aircraft-2013b" / "data"
    data.mkdir(parents=True)
    families = ["A320", "Boeing 747"]
    (data / "families.txt").write_text("".join(f"{name}\n" for name in families))
    for start, part in enumerate(("train", "val", "test")):
        pairs = [(f"{start}{label}", label) for label in range(2)]
        lines = "".join(f"{number} {families[label]}\n" for number, label in pairs)
        (data / f"images_family_{part}.txt").write_text(lines)
        for number, label in pairs:
            shade(data / "images" / f"{number}.jpg", label)


def write_sun(root: Path) -> None:
    base = root / "SUN397"
    base.mkdir()
    (base / "ClassName.txt").write_text("/a/abbey\n/c/cabin/outdoor\n")
    for label, name in enumerate(("a/abbey", "c/cabin/outdoor")):
        for number in range(5):
            shade(base / name / f"sun_{label}{number}.jpg", label)


def write_tree(*parts: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        for part in parts:
            for label, name in enumerate(("n01440764", "n02102040")):
                for number in range(5):
                    shade(root / part / name / f"{number}.JPEG".replace("JPEG", "jpeg"), label)

    return write


@needs_scipy
@pytest.mark.extra
def test_flowers_are_listed_in_matrices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    monkeypatch.setattr(datasets.Flowers102, "_check_integrity", lambda _: True)
    base = tmp_path / "flowers-102"
    for number in range(1, 7):
        shade(base / "jpg" / f"image_{number:05}.jpg", number % 2)
    savemat(base / "imagelabels.mat", {"labels": np.array([[number % 2 + 1 for number in range(1, 7)]])})
    savemat(base / "setid.mat", {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[5, 6]]})
    read_as_written(opened("Flowers102", tmp_path), 102, [2, 2, 2])


def read_as_written(module: TorchvisionByName, classes: int, counts: list[int]) -> None:
    """Each image has the colour of its label."""
    assert [len(module.rows[part]) for part in ("train", "val", "test")] == counts
    assert len(module.class_names) == classes
    for part in module.parts.values():
        assert part.pixels.shape[1:] == (3, 64, 64)
        red = part.pixels[:, 0].float().mean((1, 2))
        assert torch.allclose(red, 20.0 * part.labels + 10, atol=2)
        assert len(set(part.files)) == len(part.labels)


@pytest.mark.parametrize(
    ("name", "write", "classes", "counts"),
    [
        ("OxfordIIITPet", write_pets, 2, [2, 1, 2]),
        ("Food101", write_food, 2, [4, 2, 4]),
        ("GTSRB", write_gtsrb, 43, [4, 2, 2]),
        ("DTD", write_dtd, 2, [2, 2, 2]),
        ("FGVCAircraft", write_aircraft, 2, [2, 2, 2]),
        ("SUN397", write_sun, 2, [6, 2, 2]),
        ("EuroSAT", write_tree("eurosat/2750"), 2, [6, 2, 2]),
        ("Country211", write_tree("country211/train", "country211/valid", "country211/test"), 2, [10, 10, 10]),
        ("Imagenette", write_tree("imagenette2/train", "imagenette2/val"), 2, [8, 2, 10]),
    ],
)
def test_sets_of_image_files_are_decoded_once(
    name: str, write: Callable[[Path], None], classes: int, counts: list[int], tmp_path: Path
) -> None:
    write(tmp_path)
    options = {"annotation_level": "family"} if name == "FGVCAircraft" else {}
    read_as_written(opened(name, tmp_path, options=options), classes, counts)
    assert len(list((tmp_path / "cache").glob("*.pixels"))) == 2
    few = opened(name, tmp_path, limit=2, only="test", options=options)
    assert len(few.parts["test"].labels) == 2


def test_rendered_sentences_are_in_folders(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        for label, name in enumerate(("negative", "positive")):
            shade(tmp_path / "rendered-sst2" / part / name / "0.png", label)
    module = opened("RenderedSST2", tmp_path)
    read_as_written(module, 2, [2, 2, 2])
    assert module.class_names == ("negative", "positive")


@needs_scipy
@pytest.mark.extra
def test_cars_are_listed_in_matrices(tmp_path: Path) -> None:
    from scipy.io import savemat

    base = tmp_path / "stanford_cars"
    names = np.array(["Audi TT", "BMW M3"], dtype=object)
    (base / "devkit").mkdir(parents=True)
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": names})
    for part, file in {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}.items():
        listed = [(f"{number:05}.jpg", number % 2 + 1) for number in range(6)]
        for name, number in listed:
            shade(base / f"cars_{part}" / name, number - 1)
        savemat(base / file, {"annotations": np.array(listed, dtype=[("fname", object), ("class", "u1")])})
    module = opened("StanfordCars", tmp_path)
    read_as_written(module, 2, [4, 2, 6])
    assert module.class_names == ("Audi TT", "BMW M3")


def test_folds_divide_training_and_validation_images(tmp_path: Path) -> None:
    write_dtd(tmp_path)
    few = opened("DTD", tmp_path, limit=2, val_split="random", val_fraction=0.5)
    assert [len(few.rows[part]) for part in ("train", "val", "test")] == [1, 1, 2]
    module = opened("DTD", tmp_path, folds=2, fold=1)
    assert [len(module.rows[part]) for part in ("train", "val", "test")] == [2, 2, 2]
    assert module.parts["train"].validation is None


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    write_food(tmp_path)
    (tmp_path / "food-101" / "images" / "sushi" / "4.jpg").write_bytes(b"")
    said = refusal(name="Food101", root=str(tmp_path), cache_dir=str(tmp_path / "cache"))
    assert said.startswith("1 of 4 files of Food101 cannot be read as images, the first is ")

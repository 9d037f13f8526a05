"""Images and classes that changed since a run was trained: it is not resumed with them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from labbook.data import datamodule
from labbook.errors import SettingError
from labbook.runs.sweep_folder import SweepFolder
from labbook.sweeps.checking import check_data
from tests.conftest import Command
from tests.data.samples import album, photograph
from tests.test_train import metrics_of

PHOTOS = ("data=image_folder", "data.root=photos", "data.image_size=8", "model=mlp", "callbacks=none", "logger=none")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return album(tmp_path / "photos", {"train": 6, "test": 3}, ("ape", "cat", "dog"))


def rename(photos: Path) -> str:
    for part in ("train", "test"):
        (photos / part / "ape").rename(photos / part / "zebra")
    return "class ape is gone and class zebra is new"


def replace_class(photos: Path) -> str:
    for part in ("train", "test"):
        shutil.rmtree(photos / part / "dog")
        photograph(photos / part / "cow" / "1.png", ("red", "blue")[part == "test"])
    return "class dog is gone and class cow is new"


def remove_class(photos: Path) -> str:
    for part in ("train", "test"):
        shutil.rmtree(photos / part / "dog")
    return "class dog is gone"


def add_images(photos: Path) -> str:
    photograph(photos / "train" / "cat" / "new.png", "pink")
    return "the training images were 18, now they are 19"


def relabel(photos: Path) -> str:
    (photos / "train" / "cat" / "0.png").rename(photos / "train" / "dog" / "x.png")
    return "the training images are different"


@pytest.mark.parametrize(
    "change",
    [
        rename,
        *(pytest.param(each, marks=pytest.mark.slow) for each in (replace_class, remove_class)),
        add_images,
        relabel,
    ],
)
def test_a_run_is_not_resumed_on_other_data(
    change: Callable[[Path], str], labbook: Command, trained: Callable[..., Path], photos: Path
) -> None:
    run = trained(*PHOTOS, "epochs=1")
    before = {name: (run / name).read_bytes() for name in ("metrics.json", "config.yaml", "metrics.csv")}
    said = change(photos)
    datamodule._recent.clear()  # as of another process
    ended = labbook(f"resume={run}", "epochs=2")
    assert ended.code == 2
    assert f"the data is not what {run} was trained on: {said}" in ended.err
    assert {name: (run / name).read_bytes() for name in before} == before


def test_a_run_is_resumed_on_the_same_images_elsewhere(labbook: Command, photos: Path) -> None:
    run = labbook(*PHOTOS, "epochs=1").run
    record = metrics_of(run)["data"]
    assert record["class_names"] == ["ape", "cat", "dog"]
    assert [record[part]["images"] for part in ("train", "val", "test")] == [18, 3, 9]
    photos.rename(photos.with_name("moved"))
    assert labbook(f"resume={run}", "epochs=2", "data.root=moved").code == 0


def test_an_older_run_knows_its_classes(labbook: Command, trained: Callable[..., Path], photos: Path) -> None:
    run = trained(*PHOTOS, "epochs=1")
    metrics = metrics_of(run)
    kept = {name: value for name, value in metrics.items() if name not in ("data", "class_names", "test_set")}
    (run / "metrics.json").write_text(json.dumps(kept))
    rename(photos)
    assert "class ape is gone and class zebra is new" in labbook(f"resume={run}", "epochs=2").err


# Sweeps --------------------------------------------------------------------------------------------------------------


def test_the_images_of_a_sweep_are_compared(trained: Callable[..., Path], photos: Path, tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "mine")
    shutil.copytree(trained(*PHOTOS, "epochs=1"), sweep.path / "seed-1-0123abcd")
    check_data(sweep)
    photograph(photos / "test" / "cat" / "new.png", "pink")
    datamodule._recent.clear()
    with pytest.raises(SettingError, match="the test images were 9, now they are 10"):
        check_data(sweep)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_a_sweep_is_not_extended_on_other_images(labbook: Command, photos: Path) -> None:
    words = ("-m", *PHOTOS, "epochs=1", "sweep.name=mine")
    sweep = labbook(*words, "seed=1").run
    before = (sweep / "sweep.json").read_bytes()
    photograph(photos / "test" / "cat" / "new.png", "pink")
    datamodule._recent.clear()
    for seeds in ("seed=1,2", "seed=1"):
        ended = labbook(*words, seeds)
        assert ended.code == 2
        assert "was trained (the test images were 9, now they are 10), so new runs cannot be compared" in ended.err
        assert "use sweep.name=NEW for a new sweep" in ended.err
    assert (sweep / "sweep.json").read_bytes() == before
    assert labbook(*words, "seed=2", "sweep.rerun=true").code == 0

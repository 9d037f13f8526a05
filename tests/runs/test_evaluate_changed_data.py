"""Evaluation of a run on other images than it was trained on."""

import json
import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from labbook.cli.commands import evaluate, predict
from labbook.data import datamodule
from labbook.data.digits import Digits
from labbook.inference.evaluate import output_files
from tests.conftest import Command
from tests.data.samples import photograph
from tests.runs.test_changed_data import PHOTOS, add_images
from tests.runs.test_changed_data import photos as photos
from tests.test_train import metrics_of


@pytest.fixture
def again(script: Callable[[ModuleType], Command], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`scripts/evaluate.py ARGUMENTS`, without pictures, reading all data again."""
    monkeypatch.setattr(output_files, "evaluation_plots", lambda *_: {})
    command = script(evaluate)

    def evaluated(*arguments: str) -> object:
        datamodule._recent.clear()
        return command(*arguments)

    return evaluated  # type: ignore[return-value]


def evaluation(run: Path, suffix: str = "") -> dict[str, object]:
    content: dict[str, object] = json.loads((run / "evaluation" / f"evaluation{suffix}.json").read_text())
    return content


def rows(ended: object) -> dict[str, list[str]]:
    """The rows of the table of an evaluation by class."""
    return {line.split()[0]: line.split()[1:] for line in ended.out.splitlines() if len(line.split()) == 5}  # type: ignore[attr-defined]


def test_classes_are_matched_by_name(
    trained: Callable[..., Path], again: Command, photos: Path, tmp_path: Path
) -> None:
    """Of some classes that the network knows, of one that it does not know, and with no training part."""
    run = trained(*PHOTOS, "epochs=1")
    own = again(str(run))
    assert evaluation(run)["as_recorded"] is True
    (tmp_path / "some" / "test").mkdir(parents=True)
    for name in ("dog", "cat"):
        shutil.copytree(photos / "test" / name, tmp_path / "some" / "test" / name)
    photograph(tmp_path / "some" / "test" / "bee" / "1.png", "yellow")
    ended = again(str(run), "data.root=some")
    assert ended.code == 0, ended.err
    assert {name: rows(ended)[name][1] for name in ("cat", "dog")} == {
        name: rows(own)[name][1] for name in ("cat", "dog")
    }
    assert "left out, because the network does not know the class: bee (1 images)" in ended.out
    assert "classes of the network without images here: ape" in ended.out
    told = evaluation(run, "_some")
    assert (told["images"], told["left_out"], told["without_images"]) == (6, {"bee": 1}, ["ape"])
    flat = again(str(run), "data.root=some/test")
    assert flat.out.splitlines()[0] == ended.out.splitlines()[0]
    assert "so its own folders are used as classes" in flat.err
    shutil.rmtree(photos / "train")
    shutil.rmtree(photos / "test" / "ape")
    assert again(str(run)).out.splitlines()[0] == ended.out.splitlines()[0]
    shutil.rmtree(tmp_path / "some" / "test" / "cat")
    shutil.rmtree(tmp_path / "some" / "test" / "dog")
    refused = again(str(run), "data.root=some")
    assert (refused.code, refused.sentence) == (
        2,
        "there is no test image of a class that the network knows: the classes of the data are bee, and the network"
        " knows ape, cat, dog",
    )


def test_accents_of_another_system_are_the_same_class(
    labbook: Command, again: Command, photos: Path, tmp_path: Path
) -> None:
    for part in ("train", "test"):
        (photos / part / "dog").rename(photos / part / "\u00e9lan")
    run = labbook(*PHOTOS, "epochs=1").run
    shutil.copytree(photos, tmp_path / "mac")
    for part in ("train", "test"):
        (tmp_path / "mac" / part / "\u00e9lan").rename(
            tmp_path / "mac" / part / unicodedata.normalize("NFD", "\u00e9lan")
        )
    ended = again(str(run), "data.root=mac")
    assert (ended.code, ended.err) == (0, "")
    assert f"acc {metrics_of(run)['test/acc']:.4f}  n 9" in ended.out
    assert evaluation(run)["as_recorded"] is True


def test_changed_images_do_not_replace_the_evaluation_of_the_run(
    trained: Callable[..., Path], again: Command, script: Callable[[ModuleType], Command], photos: Path
) -> None:
    run = trained(*PHOTOS, "epochs=1")
    again(str(run))
    before = evaluation(run)
    photograph(photos / "test" / "cat" / "new.png", "pink")
    ended = again(str(run))
    assert "the test images are not those that the run recorded" in ended.err
    assert evaluation(run) == before
    (other,) = [path for path in (run / "evaluation").iterdir() if "changed" in path.name]
    assert json.loads(other.read_text())["images"] == 10
    asked = script(predict)(str(run), "--test-index", "3")
    assert (asked.code, asked.out) == (2, "")
    assert "the data is not what the run was tested on: the test images were 9, now they are 10" in asked.sentence
    add_images(photos)
    for split in ("val", "train"):
        refused = again(str(run), "--split", split)
        assert f"--split {split}: the training images were 18, now they are 19" in refused.sentence


def test_images_of_another_folder_that_were_trained_on(
    trained: Callable[..., Path], again: Command, photos: Path
) -> None:
    run = trained(*PHOTOS, "epochs=1")
    more = shutil.copytree(photos, photos.with_name("more"))
    assert again(str(run), "data.root=more", "--split", "val").err == ""  # the same images, divided in the same way
    for number, colour in enumerate(("pink", "gold", "navy", "teal", "plum", "tan", "snow", "lime", "gray")):
        for name in ("ape", "cat", "dog"):
            photograph(more / "train" / name / f"{number}-{name}.png", colour, (20 + ord(name[0]), 40))
    refused = again(str(run), "data.root=more", "--split", "val")
    assert refused.code == 2
    assert re.match(r"--split val: \d+ of these 6 images were used for training: use --split test", refused.sentence)
    mixed = photos.with_name("mixed")
    shutil.copytree(photos / "train", mixed / "test")
    assert (
        "note: 15 of the images were used for training, so the metrics are too good"
        in again(str(run), "data.root=mixed").err
    )
    assert evaluation(run, "_mixed")["trained_on"] == 15
    photos.rename(photos.with_name("gone"))
    assert "so these images could not be compared with them" in again(str(run), "data.root=mixed").err
    assert evaluation(run, "_mixed")["trained_on"] is None


@pytest.mark.slow
@pytest.mark.parametrize("size", [8, 28])
def test_images_in_memory_are_compared_with_files(labbook: Command, again: Command, tmp_path: Path, size: int) -> None:
    """Files of the original size of the data set in memory, and of the size that the network sees."""
    digits = Digits(limit=60, image_size=size)
    digits.setup()
    trained = digits.parts["train"].at(digits.rows["train"])
    for number, (pixels, label) in enumerate(zip(trained.pixels, trained.labels, strict=True)):
        folder = tmp_path / "copied" / digits.class_names[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[0].numpy()).save(folder / f"{number}.png")
    plain = ("data.limit=60", "model=mlp", "epochs=1", "callbacks=none", "logger=none")
    copied = ("data=image_folder", "data.root=copied")
    in_memory = labbook("data=digits", *plain).run
    assert "note: 54 of the images were used for training" in again(str(in_memory), *copied).err
    in_files = labbook(*copied, "data.image_size=28", "data.channels=1", "data.val_fraction=0", *plain).run
    copies = metrics_of(in_files)["data"]["train"]["images"]
    ended = again(str(in_files), "data=digits", "data.limit=60", "--split", "train")
    assert f"note: {copies} of the images were used for training" in ended.err


def test_what_validation_and_predictions_take_of_another_folder(
    trained: Callable[..., Path], again: Command, script: Callable[[ModuleType], Command], photos: Path
) -> None:
    run = trained(*PHOTOS, "epochs=1")
    shutil.copytree(photos, photos.with_name("copy"))
    refused = again(str(run), "data.root=copy", "--split", "val", "data.val_seed=9")
    assert refused.sentence.startswith("--split val: these are the training images of the run, with another validation")
    other = photos.with_name("other")
    for number, colour in enumerate(("pink", "gold", "navy", "teal")):
        for name in ("ape", "cow"):
            photograph(other / "train" / name / f"{number}.png", colour, (20 + ord(name[0]), 40))
    ended = again(str(run), "data.root=other", "--split", "val")
    assert (ended.code, evaluation(run, "_other_val")["left_out"]) == (0, {"cow": 1}), ended.err
    for command in (again, script(predict)):
        refused = command(str(run), "data.resize=crop", *([str(other)] if command is not again else []))
        assert refused.sentence == (
            "data.resize=crop: the network was trained with squash, and sees all images so: leave it out"
        )


def test_a_class_that_was_renamed_is_left_out(trained: Callable[..., Path], again: Command, photos: Path) -> None:
    run = trained(*PHOTOS, "epochs=1")
    for part in ("train", "test"):
        (photos / part / "cat").rename(photos / part / "Cat")
    ended = again(str(run))
    assert ended.code == 0, ended.err
    assert "left out, because the network does not know the class: Cat (3 images)" in ended.out
    assert "classes of the network without images here: cat" in ended.out


@pytest.mark.slow
def test_folders_of_one_name_have_evaluations_of_their_own(
    trained: Callable[..., Path], again: Command, photos: Path
) -> None:
    run = trained(*PHOTOS, "epochs=1")
    for name, colour in (("one", "pink"), ("two", "gold")):
        photograph(photos.parent / name / "set" / "test" / "cat" / "1.png", colour)
        again(str(run), f"data.root={name}/set")
        before = evaluation(run, "_set")
    ended = again(str(run), "data.root=two/set")
    other = str(before["test_set"])
    assert evaluation(run, "_set") == before
    found = {path.name: json.loads(path.read_text())["test_set"] for path in (run / "evaluation").iterdir()}
    assert len(set(found.values())) == len(found) == 2
    assert other in found.values()
    assert "an earlier test used other images, so the file names of this one end in _set-" in ended.err


def test_weights_that_are_not_finite_are_not_used(
    trained: Callable[..., Path], again: Command, script: Callable[[ModuleType], Command], photos: Path
) -> None:
    run = trained(*PHOTOS, "epochs=1")
    (run / "checkpoints" / "best.ckpt").unlink()
    file = run / "checkpoints" / "last.ckpt"
    content = torch.load(file, weights_only=True)
    content["state_dict"]["head.bias"][0] = float("nan")
    torch.save(content, file)
    for ended in (again(str(run)), script(predict)(str(run), str(photos / "test"), "--json", "said.json")):
        assert ended.code == 2
        assert "has weights that are not finite (head.bias), so it cannot be used" in ended.sentence
    content["state_dict"]["head.bias"][0] = 0
    content["state_dict"]["head.weight"][:] = torch.finfo(torch.float32).max  # finite, as its sums are not
    torch.save(content, file)
    asked = script(predict)(str(run), str(photos / "test"), "--json", "said.json")
    assert (asked.code, "instead of probabilities" in asked.sentence) == (2, True)
    assert "so its predictions are meaningless" in again(str(run)).sentence
    assert not Path("said.json").exists()

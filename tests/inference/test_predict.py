"""`python scripts/predict.py`."""

import csv
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from labbook.cli import command_line
from labbook.cli.commands import predict
from labbook.inference.predict import output
from labbook.inference.predict.classify import ClassProbability, PredictedBatch, Prediction
from labbook.plots.contact_sheet import CaptionLine
from tests.conftest import Command
from tests.data.samples import photograph
from tests.inference.networks import saved, untrained

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As of README's default, but without the training."""
    return saved(untrained(), tmp_path_factory.mktemp("run") / "NAME")


@pytest.fixture
def said(
    script: Callable[[ModuleType], Command], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """The script, in a folder with logs/runs/NAME and a few images in FOLDER."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "logs/runs/NAME")
    for number in range(3):
        photograph(Path(f"FOLDER/{number}.png"), 100 * number, size=(8, 8), mode="L")
    return script(predict)


def test_every_documented_command_runs(said: Command) -> None:
    page = (ROOT / "docs" / "predict.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.strip().splitlines()]
    assert len(lines) > 3
    for line in lines:
        python, name, *words = shlex.split(line)
        assert (python, name) == ("python", "scripts/predict.py")
        ended = said(*words)
        assert (ended.code, ended.err) == (0, ""), line
        for word in words:
            if word.endswith((".csv", ".json")) or word == "sheet.png":
                assert Path(word).is_file(), line


def test_files_say_what_the_table_says(said: Command) -> None:
    photograph(Path("FOLDER/grün 猫.png"))
    ended = said("logs/runs/NAME", "FOLDER", "--top", "2", "--csv", "a.csv", "--json", "a.json", "--figure", "a.PNG")
    assert (ended.code, ended.err) == (0, "")
    lines = [re.split(r"  +", line) for line in ended.out.splitlines()]
    assert lines[0] == ["image", "class", "probability", "class_2", "probability_2"]
    rows = list(csv.reader(Path("a.csv").read_text(encoding="utf-8").splitlines()))
    assert [row[:2] for row in rows] == [line[:2] for line in lines]
    assert [f"{float(row[2]):.4f}" for row in rows[1:]] == [line[2] for line in lines[1:]]
    assert [each["image"] for each in json.loads(Path("a.json").read_text())] == [line[0] for line in lines[1:]]
    with Image.open("a.PNG") as sheet:
        assert (sheet.format, sheet.width) == ("PNG", 4 * 152 + 8)


def test_images_of_the_test_set(said: Command) -> None:
    ended = said("logs/runs/NAME", "--test-index", "30", "0", "197", "--batch-size", "2", "trainer.precision=32")
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[0] == ["image", "true", "class", "probability"]
    assert [line[:2] for line in lines[1:4]] == [["30", "0"], ["0", "0"], ["197", "3"]]
    right = sum(line[1] == line[2] for line in lines[1:4])
    assert lines[4] == ["correct:", str(right), "of", "3"]


def test_bad_files_are_named_and_the_rest_is_done(said: Command) -> None:
    Path("FOLDER/1.png").write_bytes(b"")
    Path("FOLDER/notes.txt").touch()
    ended = said("logs/runs/NAME", "FOLDER", "--csv", "a.csv")
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "error: FOLDER/1.png is no image",
        "note: left out, because their names are not those of images: 1, such as FOLDER/notes.txt",
        "note: could not be read as images: 1 of 3 files",
    ]
    assert [line.split()[0] for line in ended.out.splitlines()] == ["image", "FOLDER/0.png", "FOLDER/2.png"]
    assert len(Path("a.csv").read_text().splitlines()) == 3


def test_no_image_at_all_in_the_files(said: Command) -> None:
    Path("text.png").write_text("no image")
    ended = said("logs/runs/NAME", "text.png", "--figure", "a.png", "--json", "a.json")
    assert ended.code == 1
    assert "note: a.png was not written, as there is no image to show" in ended.err
    assert Path("a.json").read_text() == "[\n\n]\n"


def test_what_one_should_know(said: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "MOST", 2)
    Path("logs/runs/NAME/metrics.json").write_text('{"status": "inter\\u001brupted"}')
    ended = said("logs/runs/NAME", "FOLDER/*.png", "--figure", "a.png")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "note: the run is not finished (inter\\x1brupted): its last checkpoint is used",
        "note: a.png shows the first 2 of 3 images; --figure-images least-sure shows the least sure ones",
    ]


def test_a_contact_sheet_shows_the_first_images_or_the_least_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "MOST", 2)
    sure = [
        Prediction(f"a/b/{place}.png", (ClassProbability("cat", each),))
        for place, each in enumerate((0.9, 0.4, 0.8, 0.3))
    ]
    pixels = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1)
    for shown, places in (("first", [0, 1]), ("least-sure", [3, 1])):
        told = output.PredictionOutput(shown)
        for first in (0, 2):
            told.add(PredictedBatch(sure[first : first + 2], pixels[first : first + 2]))
        assert [int(each) for _, each in told.pictured] == places
        assert len(told.predictions) == 4
    lines = output.prediction_caption(sure[1], {"cat": "class 3"})
    assert lines == [CaptionLine("class 3", "40%"), CaptionLine("b/1.png")]
    known = sure[0]._replace(image="7", true="cat")
    assert output.prediction_caption(known, {"cat": "cat"}) == [
        CaptionLine("cat"),
        CaptionLine("→ cat", "90%"),
        CaptionLine("image 7"),
    ]


def test_a_file_whose_name_looks_like_a_setting(said: Command) -> None:
    photograph(Path("epochs=3.png"))
    ended = said("logs/runs/NAME", "epochs=3.png")
    assert (ended.code, ended.out.splitlines()[1].split()[0]) == (0, "epochs=3.png")


RUN = "logs/runs/NAME"


def test_a_size_that_the_run_left_open_may_be_given_as_the_network_knows_it(said: Command) -> None:
    file = Path(RUN, "config.yaml")
    config = OmegaConf.load(file)
    config.data.image_size = config.data.channels = None
    OmegaConf.save(config, file)
    same = said(RUN, "FOLDER", "data.image_size=28", "data.channels=1")
    assert (same.code, same.err) == (0, "")
    assert same.out == said(RUN, "FOLDER").out
    sentence = said(RUN, "FOLDER", "data.image_size=32").sentence
    assert sentence == "data.image_size=32: the network was trained with 28, and sees all images so: leave it out"


def test_a_normalization_that_the_run_left_open_may_be_given_as_the_network_knows_it(said: Command) -> None:
    same = said(RUN, "FOLDER", "data.normalize=dataset")
    assert (same.code, same.out) == (0, said(RUN, "FOLDER").out)
    for other in ("half", "nonsense"):
        sentence = said(RUN, "FOLDER", f"data.normalize={other}").sentence
        assert sentence.startswith(f"data.normalize={other}: the network was trained with mean [0.")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "FOLDER"], "nowhere is not a run folder"),
        ([RUN], "nothing to predict: give images, folders, patterns or --test-index N"),
        ([RUN, "FOLDER/*.jpg"], "FOLDER/*.jpg is not a file, a folder or a pattern that matches files"),
        ([RUN, "logs/runs"], "logs/runs has no image: no file name ends in one of"),
        ([RUN, "FOLDER", "data.rot=x"], "data.rot is not a setting of this run; did you mean root?"),
        ([RUN, "FOLDER", "data.image_size=9"], "data.image_size=9: the network was trained with 28, and sees all"),
        ([RUN, "FOLDER", "trainer.precision=4"], "trainer.precision=4 is unknown"),
        ([RUN, "FOLDER", "--top", "0"], "--top must be at least 1, not 0"),
        ([RUN, "FOLDER", "--top", "11"], "--top 11: the network knows 10 classes: use at most as many"),
        ([RUN, "FOLDER", "--batch-size", "-3"], "--batch-size must be at least 1, not -3"),
        ([RUN, "FOLDER", "--weights", "best"], "logs/runs/NAME/checkpoints/best.ckpt does not exist"),
        ([RUN, "FOLDER", "--csv", "no/a.csv"], "--csv no/a.csv: there is no folder no"),
        ([RUN, "FOLDER", "--json", "FOLDER"], "--json FOLDER is a folder: use the name of a file in it"),
        ([RUN, "FOLDER", "--figure", "a.jpg"], "--figure a.jpg must be a PNG file: use a name that ends in .png"),
        (
            [RUN, "FOLDER", "--figure", "./FOLDER/1.png"],
            "--figure FOLDER/1.png is read by the command: use",
        ),
        ([RUN, "FOLDER", "--json", "a", "--csv", "./a"], "--csv and --json a are the same file"),
        ([RUN, "FOLDER", "--csv", "-", "--json", "-"], "--csv and --json - are the same file"),
        ([RUN, "FOLDER", "--csv", f"{RUN}/metrics.json"], "metrics.json is a file of the run or sweep"),
        ([RUN, "--test-index", "360"], "--test-index 360: the test set has images 0 to 359"),
        ([RUN, "--test-index", "-1"], "--test-index takes numbers of test images, from 0 on, and no other"),
        ([RUN, "--test-index", "1.5"], "so not 1.5"),
        ([RUN, "FOLDER", "--test-index", "1"], "so not FOLDER"),
        ([RUN, "--test-index", "data.root=x"], "so not data.root=x"),
    ],
)
def test_refusals(said: Command, arguments: list[str], sentence: str) -> None:
    ended = said(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert sentence in ended.sentence


def test_what_goes_to_standard_output_is_alone_there(said: Command) -> None:
    ended = said(RUN, "FOLDER", "--json", "-")
    assert [each["image"] for each in json.loads(ended.out)] == [f"FOLDER/{number}.png" for number in range(3)]
    assert ended.err.splitlines()[0].split() == ["image", "class", "probability"]
    assert not Path("-").exists()


def test_the_image_that_a_figure_would_take_the_place_of_stays(said: Command) -> None:
    before = Path("FOLDER/1.png").read_bytes()
    assert said(RUN, "FOLDER", "--figure", "FOLDER/1.png").code == 2
    assert Path("FOLDER/1.png").read_bytes() == before


def test_a_setting_of_a_stranger_s_run_is_refused(said: Command) -> None:
    config = OmegaConf.load(f"{RUN}/config.yaml")
    config.data._target_ = "os.system"
    OmegaConf.save(config, f"{RUN}/config.yaml")
    assert "data._target_=os.system is not allowed" in said(RUN, "FOLDER").sentence


class EndedError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(("raised", "code"), [(None, 0), (SystemExit(3), 3), (SystemExit(None), 0)])
def test_a_program_ends_at_once_with_its_code(
    raised: SystemExit | None, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end(number: int) -> None:
        raise EndedError(number)

    def main() -> None:
        print("said", flush=False)
        if raised:
            raise raised

    monkeypatch.setattr(command_line.os, "_exit", end)
    with pytest.raises(EndedError, match=f"^{code}$"):
        command_line.run_program(main)
    assert capsys.readouterr().out == "said\n"

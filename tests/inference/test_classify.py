"""Images through a network: the pixels are those of the test, and the answers are in order."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from labbook import experiment
from labbook.data.datamodule import Images
from labbook.data.image_cache import AT_ONCE
from labbook.errors import SettingError
from labbook.inference.evaluate import evaluate_run
from labbook.inference.predict import output
from labbook.inference.predict.classify import Prediction, Predictor
from labbook.inference.predict.output import PredictionColumns
from labbook.inference.trained_model import TrainedModel, load_trained
from labbook.runs.resume import read_run_config
from tests.conftest import Command
from tests.data.samples import album, photograph
from tests.inference.networks import untrained


def written(images: Images, folder: Path) -> list[Path]:
    """Each image as a PNG file."""
    folder.mkdir()
    files = [folder / f"{index:03}.png" for index in range(len(images.labels))]
    for file, pixels in zip(files, images.pixels, strict=True):
        array = pixels.permute(1, 2, 0).numpy()
        Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(file)
    return files


def all_of(predictor: Predictor, files: list[Path]) -> list[Prediction]:
    return [prediction for batch in predictor.files(files) for prediction in batch.predictions]


@pytest.mark.parametrize(
    "settings",
    [
        ["data=digits"],  # 8 x 8 pixels, made larger
        ["data=digits", "data.image_size=5", "data.channels=3"],
        ["data=synthetic", "data.images=60", "data.image_size=20", "data.channels=1"],
    ],
)
def test_a_test_image_as_a_file_is_seen_as_the_test_saw_it(settings: list[str], tmp_path: Path) -> None:
    network = untrained("model=mlp", *settings)
    data = experiment.build_data(network.config)
    shown = data.load()[1]
    decoding = type(data).decoding_of({}, data.spec)
    data.image_size, data.channels = decoding.size, decoding.channels
    as_read = data.load()[1]
    files = written(as_read._replace(pixels=as_read.pixels[:40], labels=as_read.labels[:40]), tmp_path / "files")
    judged = list(Predictor(network, 1, 16).files(files))
    assert torch.equal(torch.cat([batch.pixels for batch in judged]), shown.pixels[:40])


@pytest.mark.parametrize("kind", ["image_folder", pytest.param("digits", marks=pytest.mark.slow)])
def test_a_test_image_as_a_file_gets_the_probability_of_the_test(kind: str, labbook: Command, tmp_path: Path) -> None:
    words = ["data=digits", "data.image_size=28"]
    if kind == "image_folder":
        album(tmp_path / "photos", {"train": 6, "test": 10})
        turned = tmp_path / "photos" / "test" / "cat" / "turned.jpg"
        exif = Image.Exif()
        exif[274] = 6  # lies on its side
        Image.linear_gradient("L").convert("RGB").resize((90, 40)).save(turned, exif=exif)
        words = ["data=image_folder", "data.root=photos", "data.image_size=8"]
    run = labbook(*words, "model=mlp", "epochs=1", "trainer.precision=32", "callbacks=none").run
    config = read_run_config(run)
    tested = evaluate_run.evaluate_run(run, config, "test")
    outcome, data = tested.outcome, tested.data
    if kind == "image_folder":
        files = sorted(Path("photos/test").rglob("*.*"))
    else:
        data.image_size = 8
        files = written(data.load()[1], tmp_path / "files")
    judged = all_of(Predictor(load_trained(run, config, None, "predict"), 2, 7), files)
    names = data.spec.class_names
    assert [names.index(each.guesses[0].name) for each in judged] == outcome.predicted.tolist()
    assert np.allclose([each.guesses[0].probability for each in judged], outcome.confidence, atol=1e-6)
    numbered = [
        each
        for batch in Predictor(load_trained(run, config, None, "predict"), 2, 7).test_images(range(21))
        for each in batch.predictions
    ]
    assert [names.index(each.true or "") for each in numbered] == outcome.labels[:21].tolist()
    for one, other in zip(judged, numbered, strict=False):
        assert one.guesses[0].name == other.guesses[0].name
        assert one.guesses[0].probability == pytest.approx(other.guesses[0].probability, abs=1e-6)


@pytest.fixture(scope="module")
def network() -> TrainedModel:
    """Of colour images of 6 x 6 pixels, in ten classes."""
    return untrained("model=mlp", "data=synthetic", "data.images=60", "data.image_size=6")


def shades(folder: Path, count: int) -> list[Path]:
    """Files whose images are all different."""
    return [photograph(folder / f"{n}.png", (n % 256, n // 256, 99), (2, 2)) for n in range(count)]


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_the_order_of_the_output_is_that_of_the_input(network: TrainedModel, tmp_path: Path, batch_size: int) -> None:
    files = shades(tmp_path, 40)[::-1]
    predictor = Predictor(network, 10, batch_size)
    judged = all_of(predictor, files)
    assert [each.image for each in judged] == list(map(str, files))
    alone = all_of(predictor, files[17:18])[0]
    assert [guess.name for guess in judged[17].guesses] == [guess.name for guess in alone.guesses]


def test_many_more_files_than_are_decoded_ahead(network: TrainedModel, tmp_path: Path) -> None:
    files = shades(tmp_path, 3) * AT_ONCE
    judged = all_of(Predictor(network, 1, 100), files)
    assert len(judged) == 3 * AT_ONCE
    assert judged[-1].guesses[0].name == judged[2].guesses[0].name


@pytest.mark.parametrize("top", [1, 3, 10])
def test_the_likeliest_classes_come_first_and_are_no_more_than_certain(
    network: TrainedModel, tmp_path: Path, top: int
) -> None:
    for prediction in all_of(Predictor(network, top, 8), shades(tmp_path, 9)):
        probabilities = [guess.probability for guess in prediction.guesses]
        assert len({guess.name for guess in prediction.guesses}) == top
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1) if top == 10 else sum(probabilities) < 1


def test_files_that_are_no_images_are_told_of_and_the_rest_is_done(
    network: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    files = shades(tmp_path, 4)
    bomb = photograph(tmp_path / "bomb.png", size=(11, 11))
    cut = photograph(tmp_path / "cut\n.png", size=(7, 7))
    cut.write_bytes(cut.read_bytes()[:-30])
    text = tmp_path / "text.png"
    text.write_text("no image")
    batches = list(Predictor(network, 1, 2).files([files[0], text, bomb, cut, *files[1:], tmp_path / "gone.png"]))
    assert [each.image for batch in batches for each in batch.predictions] == list(map(str, files))
    problems = [problem.replace(str(tmp_path), "") for batch in batches for problem in batch.problems]
    assert [problem.partition("(")[0] for problem in problems] == [
        "/text.png is no image",
        "/bomb.png cannot be decoded ",
        "/cut\\n.png cannot be decoded ",
        "/gone.png cannot be read ",
    ]
    assert [len(batch.pixels) for batch in batches] == [1, 0, 2, 1]


def test_files_of_several_pictures_are_told_of(
    network: TrainedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (1, 200)]
    files = [tmp_path / "a.tif", tmp_path / "b.gif", tmp_path / "c.png"]
    for file in files[:2]:
        frames[0].save(file, save_all=True, append_images=frames[1:])
    frames[0].save(files[2])
    told = output.print_predictions(
        Predictor(network, 1, 2).files(files), PredictionColumns.of(list(map(str, files)), ("0",), 1, False)
    )
    assert output.prediction_notes(told, [], None) == [
        f"2 files have several images: the first is used; the first is {files[0]}"
    ]


def test_refusals(network: TrainedModel) -> None:
    with pytest.raises(SettingError, match="--top 11: the network knows 10 classes: use at most as many"):
        Predictor(network, 11, 8)
    predictor = Predictor(network, 1, 8)
    with pytest.raises(SettingError, match="--test-index 10: the test set has images 0 to 9"):
        predictor.test_images([0, 10])
    other = untrained("model=mlp", "data=synthetic", "data.images=60", "data.image_size=6", "data.limit=3")
    with pytest.raises(SettingError, match=r"--test-index 3: the test set with data\.limit=3 has images 0 to 2"):
        Predictor(other, 1, 8).test_images([3])
    other.config.data.classes = 3
    with pytest.raises(SettingError, match="not of the classes that the network was trained for"):
        Predictor(other, 1, 8).test_images([1])


def test_a_batch_that_is_too_large_for_a_gpu(
    network: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(TrainedModel, "probabilities", full)
    with pytest.raises(SettingError, match=r"a batch of 2 images does not fit into the memory of cpu: .*--batch-size"):
        list(Predictor(network, 1, 8).files(shades(tmp_path, 2)))

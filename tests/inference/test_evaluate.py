"""A finished run tested again."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from labbook.cli.commands import evaluate
from labbook.inference.evaluate import output_files
from labbook.inference.evaluate.predictions import Predictions
from tests.conftest import Command
from tests.test_train import metrics_of


@pytest.fixture
def again(script: Callable[[ModuleType], Command]) -> Command:
    return script(evaluate)


@pytest.fixture
def unpictured(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures: they take longer than the tests."""
    monkeypatch.setattr(output_files, "evaluation_plots", lambda *_: {})


def test_the_same_figures_again(labbook: Command, again: Command) -> None:
    run = labbook("model=mlp", "epochs=2", "trainer.precision=32", "callbacks=none", "logger=none").run
    ended = again(str(run))
    assert ended.code == 0, ended.err
    metrics = metrics_of(run)
    head, titles, *classes, means, calibration, folder = ended.out.splitlines()
    assert head == f"test loss {metrics['test/loss']:.4f} acc {metrics['test/acc']:.4f}  n 360"
    assert titles.split() == ["class", "precision", "recall", "f1", "n"]
    assert [line.split()[0] for line in classes] == list("0123456789")
    confusion = torch.tensor(metrics["test/confusion_matrix"])
    recall = [float(line.split()[2]) for line in classes]
    assert recall == pytest.approx((confusion.diagonal() / confusion.sum(1)).tolist(), abs=6e-5)
    assert float(means.split()[2]) == pytest.approx(sum(recall) / 10, abs=1e-4)
    assert calibration.startswith("calibration error 0.")
    assert folder == f"evaluation: {run}/evaluation"
    pictures = ["calibration.png", "confusion_matrix.png", "mistakes.png"]
    assert sorted(path.name for path in (run / "evaluation").iterdir()) == sorted([*pictures, "evaluation.json"])
    for name in pictures:
        with Image.open(run / "evaluation" / name) as picture:
            assert min(picture.size) > 200
    content = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert (content["acc"], content["images"], content["split"]) == (metrics["test/acc"], 360, "test")
    assert (content["test_set"], content["epoch"]) == (metrics["test_set"], metrics["tested_epoch"])
    kept = Predictions.read(run / "test_predictions.csv", metrics["test_set"])
    assert kept is not None
    assert kept.accuracy == pytest.approx(metrics["test/acc"])


@pytest.mark.usefixtures("unpictured")
def test_pictures_of_an_earlier_test_are_not_taken_for_those_of_this_one(
    trained: Callable[..., Path], again: Command
) -> None:
    run = trained("model=mlp", "debug=fast", "callbacks=none")
    old = run / "evaluation" / "mistakes.png"
    old.parent.mkdir()
    old.touch()
    again(str(run))
    assert not old.exists()  # this test, as if it had no mistakes, makes none


@pytest.mark.usefixtures("unpictured")
@pytest.mark.slow
def test_a_run_of_several_processes_is_tested_by_one(labbook: Command, again: Command) -> None:
    run = labbook("model=mlp", "epochs=1", "data.limit=90", "trainer.precision=32", "callbacks=none").run
    config = (run / "config.yaml").read_text()
    several = config.replace("devices: 1\n", "devices: 2\n").replace("strategy: auto\n", "strategy: ddp\n")
    assert several != config
    (run / "config.yaml").write_text(several)  # as trainer=ddp leaves it
    ended = again(str(run))
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[0].endswith("n 90")
    for setting in ("trainer.devices=2", "trainer.strategy=ddp", "trainer.num_nodes=2"):
        assert again(str(run), setting).sentence == (
            f"{setting}: a trained network is tested by one process on one device: leave it out"
        )


@pytest.mark.usefixtures("unpictured")
@pytest.mark.slow
def test_other_data_is_seen_as_the_run_s_own(labbook: Command, again: Command) -> None:
    run = labbook("model=mlp", "epochs=1", "trainer.precision=32", "callbacks=none", "data.normalize=half").run
    own = again(str(run), "--out", "here")
    same = again(str(run), "data=digits", "data.augment=[]", "--out", "there")
    assert same.out.splitlines()[:-1] == own.out.splitlines()[:-1]
    one, other = (json.loads(Path(name, "evaluation.json").read_text()) for name in ("here", "there"))
    assert one | {"settings": []} == other | {"settings": []}
    noise = again(str(run), "data=synthetic", "data.images=60", "--split", "val", "--out", "there")
    assert (noise.code, noise.err) == (0, "")
    assert "  n 6" in noise.out.splitlines()[0]
    assert json.loads(Path("there/evaluation_synthetic_val_data.images-60.json").read_text())["data"] == "Synthetic"
    fewer = again(str(run), "data=synthetic", "data.images=60", "data.classes=5")
    assert "classes of the network without images here: 2, 5, 6, 7, 8 and 1 more" in fewer.out
    taken = again(str(run), "--out", str(run / "config.yaml"))
    assert (taken.code, taken.sentence) == (2, f"cannot write {run}/config.yaml: Not a directory")


@pytest.mark.usefixtures("unpictured")
def test_other_parts_and_settings(labbook: Command, again: Command) -> None:
    plain = ("model=mlp", "epochs=1", "trainer.precision=32", "callbacks=none", "logger=none")
    run = labbook(*plain, "evaluate_train=true").run
    train = again(str(run), "--split", "train", "--weights", "last")
    assert f"acc {metrics_of(run)['train/acc_eval']:.4f}  n 1293" in train.out
    assert "n 20" in again(str(run), "data.limit=20").out.splitlines()[0]
    made = {path.name for path in (run / "evaluation").iterdir()}
    assert made == {"evaluation_train_weights-last.json", "evaluation_data.limit-20.json"}  # that of the run is free


@pytest.mark.usefixtures("unpictured")
def test_an_older_run_and_one_that_is_not_finished(trained: Callable[..., Path], again: Command) -> None:
    run = trained("model=mlp", "debug=fast", "callbacks=none")
    whole = again(str(run))
    assert whole.err == ""
    lines = (run / "config.yaml").read_text().splitlines(keepends=True)
    (run / "config.yaml").write_text("".join(line for line in lines if not line.startswith("  init:")))
    (run / "metrics.json").write_text('{"status": "interrupted"}')
    older = again(str(run))
    assert (older.code, older.out) == (0, whole.out)
    assert older.err == "note: the run is not finished (interrupted): its last checkpoint is used\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere is not a run folder: it has no config.yaml"),
        (["RUN", "data.batchsize=3"], "did you mean batch_size?"),
        (["RUN", "data.batch_size=0"], "data.batch_size must be greater than 0, not 0"),
        (["RUN", "trainr.precision=32"], "trainr.precision is not a setting of this run; did you mean trainer?"),
        (["RUN", "batch_size=9"], "batch_size is not a setting of this run; did you mean data.batch_size?"),
        (["RUN", "trainer"], "trainer is not SETTING=VALUE of this run; did you mean trainer?"),
        (
            ["RUN", "model=lenet5"],
            "model=lenet5: model stays that of the run; to change a setting use model.SETTING=VALUE",
        ),
        (["RUN", "--out", "/proc/x"], "cannot write /proc/x: Not a directory"),
        (["RUN", "--out", "-"], "--out - is standard output: give a folder"),
        (["RUN", "--out", "RUN/figures"], "figures/confusion_matrix.png is a file of the run or sweep"),
        (["RUN", "model.width=5"], "last.ckpt has another network than MLP of the configuration"),
        (["RUN", "data._target_=os.system"], "data._target_=os.system is not allowed"),
        (["RUN", "data.normalize=half"], "data.normalize: the network was trained with mean [0.3053] and std [0.3762]"),
        (
            ["RUN", "data.image_size=9"],
            "data.image_size: the network was trained with 28, and all images are preprocessed",
        ),
        (["RUN", "--split", "train", "data.limit=20"], "data.limit=20: the run was trained with null, and"),
        (["RUN", "--split", "val", "data=digits", "data.val_fraction=0.5"], "data.val_fraction=0.5: the run was "),
    ],
)
def test_refusals(trained: Callable[..., Path], again: Command, arguments: list[str], sentence: str) -> None:
    run = trained("model=mlp", "debug=fast", "data.validation=test", "callbacks=none")
    ended = again(*[str(argument).replace("RUN", str(run)) for argument in arguments])
    assert ended.code == 2
    assert sentence in ended.sentence


@pytest.mark.usefixtures("unpictured")
def test_the_folder_of_runs_is_none(trained: Callable[..., Path], again: Command) -> None:
    run = trained("model=mlp", "debug=fast", "callbacks=none")
    assert again("logs/runs").sentence == f"logs/runs is not a run folder but has 1 in it, such as {run.name}"
    for inside in ("checkpoints", "checkpoints/last.ckpt"):
        assert again(str(run / inside)).sentence == f"{run / inside} is inside a run folder: use {run}"
    assert again("logs").sentence == "logs is not a run folder: it has no config.yaml"
    (run.parent / "killed").mkdir()
    assert again("logs/runs/killed").sentence.endswith(
        "; a run killed at its start leaves such a folder: start it again"
    )


def test_other_weights_are_named_where_the_best_are_damaged(labbook: Command, again: Command) -> None:
    run = labbook("model=mlp", "epochs=1", "callbacks=none", "data.limit=50").run
    (run / "checkpoints" / "best.ckpt").write_bytes(b"PK")
    assert again(str(run)).sentence.endswith("; --weights last uses those of the last epoch")

"""Modules and data modules of a user's own, each from the training to its files."""

import csv
import json
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Command
from tests.runs.test_resume import signal_at
from tests.test_train import same_weights, without_times

pytestmark = pytest.mark.usefixtures("photographs")

PHOTOGRAPHS = "data.size=16 data.batch_size=8"
QUICK = ("epochs=2", "logger=none", "callbacks=none")


class Case(NamedTuple):
    """A run of two epochs, and what it leaves."""

    settings: str
    columns: str  # of metrics.csv that the module logs, and its learning rates
    tested: str = ""  # metrics of the test
    said: str = ""  # in the output


OUR_NETWORK = "our network on a loader of the user's own"
CASES = {
    "autoencoder": Case(
        "model=autoencoder data=digits data.limit=200 objective=val/loss optimizer=sgd scheduler=cosine",
        "train/loss val/loss lr",
        "test/loss",
        "Autoencoder is not a Classifier",
    ),
    "gan": Case(
        "model=gan data=digits data.limit=200 objective=g_loss",
        "d_loss g_loss lr lr/1",
        said="no test at the end: GAN has no test_step",
    ),
    "regression": Case(
        "model=regression data=numbers objective=val/r2", "train/mse val/mse val/r2 lr", "test/mse test/r2"
    ),
    "simclr": Case(
        f"model=simclr data=two_views {PHOTOGRAPHS} data.workers=0 objective=val_contrastive_loss",
        "contrastive_loss val_contrastive_loss lr",
        said="val contrastive_loss 2.",
    ),
    OUR_NETWORK: Case(
        f"model=mlp data=photographs {PHOTOGRAPHS} data.workers=1 evaluate_train=true",
        "train/acc train/loss val/acc val/loss lr",
        "test/loss test/acc",
        "note: evaluate_train=true has no effect on Photographs",
    ),
}


def metrics_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return content


@pytest.mark.parametrize("name", CASES)
def test_a_run_records_what_its_module_logs(mylab: Command, name: str) -> None:
    case = CASES[name]
    ended = mylab(*case.settings.split(), *QUICK)
    assert ended.code == 0, ended.err
    assert case.said in ended.out
    assert ("has no effect" in ended.out) == ("has no effect" in case.said)
    with (ended.run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert " ".join(rows[0]) == f"epoch step {case.columns} seconds images_per_second"
    metrics = metrics_of(ended.run)
    assert metrics["status"] == "finished"
    assert metrics["objective"] == metrics[metrics["objective_name"]]
    assert {key for key in metrics if key.startswith("test/") and key != "test/confusion_matrix"} == {
        *case.tested.split()
    }


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            "model=autoencoder data=digits data.limit=200",
            "objective=val/acc is not logged by Autoencoder; logged are: train/loss, val/loss",
        ),
        (
            "model=lenet5 data=numbers",
            "model._target_=labbook.models.lenet5.LeNet5 needs a spec of its images, and the data has none",
        ),
        (
            "model=autoencoder data=digits data.limit=200 objective=val/loss"
            " +callbacks.mine._target_=labbook.callbacks.EarlyStopping +callbacks.mine.monitor=val/acc",
            "callbacks.mine.monitor=val/acc is not a validation metric; logged are: val/loss",
        ),
        ("model=autoencoder data=numbers", "Autoencoder needs a spec of its images, and the data has none"),
        ("model=regression data=numbers objective=test/r2", "objective=test/r2: the test set must not select anything"),
        ("model=regression data=numbers model.spec=1", "model.spec is not a setting"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(mylab: Command, settings: str, sentence: str) -> None:
    ended = mylab(*settings.split(), *QUICK)
    assert ended.code == 2
    assert sentence in ended.sentence
    assert not list(Path("logs").glob("runs/*"))


WHOLE_EPOCHS = (CASES["regression"].settings, "a stopped run is resumed after its last whole epoch, not within one")
WITHIN_EPOCHS = (
    "model=regression data=resumable_numbers objective=val/r2",
    "a stopped run resumes inside its epoch",
)
GAN = (CASES["gan"].settings, "")
HOOKS = ("on_train_batch_end", "on_validation_batch_end", "on_train_epoch_end")
RESUMED = [
    WHOLE_EPOCHS,
    WITHIN_EPOCHS,
    (CASES["autoencoder"].settings, ""),
    GAN,
    (CASES["simclr"].settings, "not within one"),
    (CASES[OUR_NETWORK].settings, "not within one"),
]
QUICK_RESUMED = {(WHOLE_EPOCHS, HOOKS[2]), (WITHIN_EPOCHS, HOOKS[0])}


@pytest.mark.parametrize(
    ("settings", "said", "hook"),
    [
        pytest.param(*case, hook, marks=[] if (case, hook) in QUICK_RESUMED else [pytest.mark.slow])
        for case in RESUMED
        for hook in HOOKS
        if hook != "on_validation_batch_end" or case != GAN  # which is not validated
    ],
)
def test_an_interrupted_run_ends_with_the_same_weights(
    mylab: Command, monkeypatch: pytest.MonkeyPatch, settings: str, said: str, hook: str
) -> None:
    common = (*settings.split(), "epochs=3", "logger=none", "callbacks=none")
    whole = mylab(*common)
    assert said in whole.out
    signal_at(monkeypatch, hook, 1, 0, signal.SIGINT)
    stopped = mylab(*common)
    assert stopped.code != 0
    resumed = mylab(f"resume={stopped.run}")
    assert resumed.code == 0, resumed.err
    assert same_weights(whole.run, resumed.run)
    assert without_times(whole.run) == without_times(resumed.run)


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        ("in_checkpoint", "the checkpoint's entry extra.0 is a pathlib."),
        ("in_hyper_parameters", "write self.save_hyperparameters(ignore=['folder'])"),
    ],
)
def test_objects_in_a_checkpoint_are_refused_when_it_is_first_saved(mylab: Command, kept: str, sentence: str) -> None:
    target = "mylab.models.keeping_objects.KeepingObjects"
    ended = mylab("model=regression", f"model._target_={target}", f"+model.kept={kept}", "data=numbers",
                  "objective=train/mse", *QUICK)  # fmt: skip
    assert ended.code == 2, ended.err
    assert sentence in ended.sentence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "swept"),
    [
        (CASES["autoencoder"].settings, "model.width=4,8"),
        (CASES["gan"].settings + " objective_mode=min", "model.latent=4,8"),
        (CASES["regression"].settings, "model.hidden=4,8"),
        (CASES["simclr"].settings, "model.size=4,8"),
        (CASES[OUR_NETWORK].settings, "model.width=4,8"),
    ],
)
def test_two_settings_are_swept_with_two_seeds_and_reported(mylab: Command, settings: str, swept: str) -> None:
    ended = mylab("-m", *settings.split(), swept, "seeds=2", "sweep.name=own", *QUICK)
    assert ended.code == 0, ended.err
    runs = list(ended.run.glob("*/metrics.json"))
    assert len(runs) == 4
    assert all(metrics_of(path.parent)["status"] == "finished" for path in runs)
    assert (ended.run / "report.html").stat().st_size > 10_000

"""Modules and data modules of a user's own, each from the training to its files."""

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Command

QUICK = ("epochs=2", "logger=none", "callbacks=none")


class Case(NamedTuple):
    """A run of two epochs, and what it leaves."""

    settings: str
    columns: str  # of metrics.csv that the module logs, and its learning rates
    tested: str = ""  # metrics of the test
    said: str = ""  # in the output


CASES = {
    "autoencoder": Case(
        "model=autoencoder data=digits data.limit=200 objective=val/loss",
        "train/loss val/loss lr",
        "test/loss",
        "Autoencoder is no Classifier",
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
        "model=simclr data=two_views objective=val_contrastive_loss",
        "contrastive_loss val_contrastive_loss lr",
        said="val contrastive_loss 2.",
    ),
    "our network on a loader of the user's own": Case(
        "model=mlp data=photographs", "train/acc train/loss val/acc val/loss lr", "test/loss test/acc"
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
        ("model=autoencoder data=numbers", "Autoencoder needs a spec of its images, and the data has none"),
        ("model=regression data=numbers objective=test/r2", "objective=test/r2: nothing may be chosen by the test set"),
        ("model=regression data=numbers model.spec=1", "model.spec is not a setting"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(mylab: Command, settings: str, sentence: str) -> None:
    ended = mylab(*settings.split(), *QUICK)
    assert ended.code == 2
    assert sentence in ended.sentence
    assert not list(Path("logs").glob("runs/*"))

"""The end of a training."""

import json
from pathlib import Path
from typing import Any

import pytest

from labbook.data.synthetic import Synthetic
from labbook.inference.evaluate.final_test import write_predictions
from tests.conftest import Command


class Several:
    """What a Trainer of two processes says of itself."""

    world_size, is_global_zero = 2, True

    def __init__(self, folder: Path) -> None:
        self.default_root_dir = str(folder)


def test_answers_of_a_shorter_training_do_not_outlive_it(tmp_path: Path) -> None:
    file = tmp_path / "test_predictions.csv"
    several: Any = Several(tmp_path)
    outcome: Any = None
    file.write_text("image,label,predicted\n0,1,1\n")
    for _ in range(2):
        write_predictions(several, Synthetic(), outcome)
        assert not file.exists()


@pytest.mark.parametrize(
    ("more", "name"),
    [
        (("trainer.check_val_every_n_epoch=2", "test_checkpoint=last"), "val/acc"),  # the last epoch is not validated
        (("data.val_fraction=0",), "train/acc"),
    ],
)
def test_the_objective_has_the_name_of_what_it_is(labbook: Command, more: tuple[str, ...], name: str) -> None:
    run = labbook("model=mlp", "epochs=3", "data.limit=200", "callbacks=none", "logger=none", *more).run
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["objective_name"] == name
    assert metrics["objective"] == metrics[name]
    assert ("val/acc" in metrics) == (name == "val/acc")

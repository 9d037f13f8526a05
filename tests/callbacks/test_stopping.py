"""A training that a callback ends before its last epoch."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labbook.errors import StoppedBySignal
from labbook.training.classifier import Classifier
from tests.conftest import Command
from tests.runs.test_killed import same_in_all
from tests.test_train import QUICK, STOPPING, metrics_of, rows_of

# The second epoch is no better than the first one, as a network that learns nothing gives.
EARLY = (*STOPPING, "epochs=5", "data.limit=300", "callbacks.early_stopping.patience=1", "optimizer.lr=1e-30")
WHY = "after epoch 2 of 5: val/acc was not better than 0.1000 in the last validation"


@pytest.fixture
def stopped(trained: Callable[..., Path]) -> Path:
    """A run that was stopped early."""
    run = trained(*EARLY)
    assert f"stopped early {WHY}\n" in (run / "train.log").read_text()
    assert metrics_of(run)["stopped_early"] == WHY
    return run


def test_a_run_that_stopped_early_is_not_resumed_with_the_same_patience(stopped: Path, labbook: Command) -> None:
    for again in ((), ("epochs=9",), ("callbacks.progress.bar=false",), ("callbacks.early_stopping.patience=1",)):
        ended = labbook(f"resume={stopped}", *again)
        assert ended.code == 2
        assert ended.sentence.startswith(
            f"{stopped} stopped early {WHY}: to train longer, use callbacks.early_stopping."
        )
    assert len(rows_of(stopped)) == 2


@pytest.mark.slow
def test_more_patience_trains_on_with_what_was_waited_before(stopped: Path, labbook: Command) -> None:
    more = labbook(f"resume={stopped}", "callbacks.early_stopping.patience=3")
    assert more.code == 0, more.err
    assert "resuming from epoch 2, step 10: 5 epochs in total (3 more)\n" in more.out
    assert metrics_of(stopped)["stopped_early"].startswith("after epoch 4 of 5: ")
    less = labbook(f"resume={stopped}", "callbacks.early_stopping.patience=2")  # which is over already
    assert less.code == 0, less.err
    assert metrics_of(stopped)["stopped_early"].startswith("after epoch 4 of 5: ")
    assert len(rows_of(stopped)) == metrics_of(stopped)["epochs"] == 4
    rest = labbook(f"resume={stopped}", "callbacks=default", "callbacks.pictures=null")
    assert rest.code == 0, rest.err
    assert len(rows_of(stopped)) == 5
    assert "stopped_early" not in metrics_of(stopped)


@pytest.mark.slow
def test_a_stopped_run_that_is_interrupted_in_its_test_does_not_train_on(
    stopped: Path, labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Any = Classifier.on_test_epoch_end

    def interrupted(self: Classifier) -> None:
        monkeypatch.setattr(Classifier, "on_test_epoch_end", original)
        raise StoppedBySignal(signal.SIGTERM)

    monkeypatch.setattr(Classifier, "on_test_epoch_end", interrupted)
    cut = labbook(*EARLY)
    assert cut.code == 143
    ended = labbook(f"resume={cut.run}")
    assert ended.code == 0, ended.err
    same_in_all(stopped, cut.run)
    assert metrics_of(cut.run)["stopped_early"] == WHY


@pytest.mark.slow
def test_epochs_whose_weights_were_not_kept_are_named_where_the_best_is_chosen_later(labbook: Command) -> None:
    run = labbook(*QUICK, "data.limit=100", "epochs=2", "test_checkpoint=last").run
    more = labbook(f"resume={run}", "epochs=3", "test_checkpoint=best")
    assert more.code == 0, more.err
    assert "epochs up to 2 were trained with test_checkpoint=last, which saves no best weights: " in more.out
    assert metrics_of(run)["tested_epoch"] == 3

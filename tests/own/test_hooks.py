"""What happens in an epoch is what docs/changing.md says, in this order."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from mylab.callbacks import Unsure

from labbook.callbacks import Progress
from labbook.callbacks.checkpoints import RunCheckpoints
from labbook.callbacks.diagnostics import TrainingDiagnostics
from labbook.callbacks.epoch_end import EpochEnd
from labbook.callbacks.epoch_recorder import EpochRecorder
from labbook.callbacks.evaluation_metrics import EvaluationMetrics
from labbook.data.datamodule import ImageDataModule
from labbook.data.loader import TensorLoader
from labbook.loggers import TensorBoard
from labbook.training.classifier import Classifier
from tests.conftest import Command
from tests.docs.pages import PAGES

EPOCH = PAGES["docs/changing.md"].partition("\n## What happens in an epoch\n")[2].partition("\n## ")[0]

OWNERS: dict[type, tuple[str, ...]] = {
    TensorLoader: ("set_epoch", "order"),
    ImageDataModule: ("transfer_batch_to_device", "on_after_batch_transfer"),
    Classifier: (
        *("training_step", "training_logits", "training_loss", "loss", "optimizer_step", "validation_step"),
        *("on_validation_epoch_end", "on_train_epoch_end"),
    ),
    TensorBoard: ("log_metrics",),
    **{
        kind: tuple(name for name in vars(kind) if name.startswith("on_") and name != "on_fit_start")
        for kind in (Progress, EvaluationMetrics, Unsure, EpochEnd)
    },
    EpochRecorder: ("record",),
    TrainingDiagnostics: ("check",),
    RunCheckpoints: ("save_epoch",),
}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hooks that a run calls, in their order."""
    calls: list[str] = []

    def traced(kind: type, name: str, hook: Any) -> Any:
        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            calls.append(f"{kind.__name__}.{name}")
            return hook(self, *arguments, **options)

        return call

    for kind, names in OWNERS.items():
        for name in names:
            monkeypatch.setattr(kind, name, traced(kind, name, getattr(kind, name)))
    return calls


def told() -> Iterator[str]:
    """The hooks that the page lists, in its order; those of an item without an owner have that of the one before."""
    owner = ""
    for item in re.findall(r"^\d+\. (.*?):", EPOCH, re.MULTILINE):
        for name in re.findall(r"`([\w.]+)`", item):
            owner = name.rpartition(".")[0] or owner
            yield f"{owner}.{name.rpartition('.')[2]}"


def test_an_epoch_is_as_the_page_says(mylab: Command, called: list[str]) -> None:
    settings = ("model=mlp", "data.limit=60", "metrics=worst_recall", "callbacks=[default,unsure]", "epochs=2")
    ended = mylab(*settings)
    assert ended.code == 0, ended.err
    first, second = (at for at, name in enumerate(called) if name == "TensorLoader.set_epoch")
    assert list(dict.fromkeys(called[first:second])) == list(told())

"""Metrics of torchmetrics: exact over the whole set, named as a run's others, and refused in a sentence."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.multiprocessing
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, LightningModule
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassAveragePrecision,
    MulticlassCalibrationError,
    MulticlassF1Score,
)  # fmt: skip

from labbook.callbacks.evaluation_metrics import EvaluationMetrics
from labbook.cli.commands import evaluate
from labbook.data.digits import Digits
from labbook.errors import SettingError
from labbook.inference.evaluate import output_files
from labbook.models.mlp import MLP
from labbook.training.classifier import Task
from labbook.training.metric_building import build_metrics, check_objective_is_computed
from labbook.training.metrics import RunningMetrics
from tests.conftest import Command
from tests.test_train import metrics_of, rows_of
from tests.training.test_classifier import trainer

FULL: dict[str, Callable[[int], Metric]] = {
    "f1": lambda classes: MulticlassF1Score(classes, average="macro"),
    "balanced_acc": lambda classes: MulticlassAccuracy(classes, average="macro"),
    "auroc": lambda classes: MulticlassAUROC(classes),
    "average_precision": lambda classes: MulticlassAveragePrecision(classes),
    "calibration_error": lambda classes: MulticlassCalibrationError(classes),
}


class Collected(Callback):
    """What a callback of somebody's own is given of the validation and of the test."""

    def __init__(self) -> None:
        self.logits: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.rows: list[Tensor] = []

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.logits.append(outputs["logits"])
        self.labels.append(outputs["labels"])
        self.rows.append(outputs["rows"])

    on_test_batch_end = on_validation_batch_end  # type: ignore[assignment]

    def probabilities(self) -> tuple[Tensor, Tensor]:
        return torch.cat(self.logits).float().softmax(1), torch.cat(self.labels)


@pytest.mark.parametrize("tta", ["none", "mirror"])
def test_metrics_are_those_of_the_whole_set(tta: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunningMetrics, "steps", 3)  # several updates
    data = Digits(limit=333, batch_size=50, image_size=8)
    model = MLP(data.spec, Task(tta=tta))
    collected, metrics = Collected(), EvaluationMetrics({name: make(10) for name, make in FULL.items()})
    metrics._add({"logits": torch.zeros(7, 10), "labels": torch.zeros(7).long()}, "left of an interrupted validation")
    evaluator = trainer(callbacks=[collected, metrics])
    for stage, test in (("val", evaluator.validate), ("test", evaluator.test)):
        test(model, datamodule=data, verbose=False)
        probabilities, labels = collected.probabilities()
        assert len(labels) == len(data.rows[stage])  # type: ignore[index]
        assert torch.cat(collected.rows).tolist() == data.rows[stage].tolist()  # type: ignore[index]
        for name, make in FULL.items():
            expected = make(10)(probabilities, labels).item()
            assert evaluator.callback_metrics[f"{stage}/{name}"].item() == pytest.approx(expected, abs=1e-6), name
        collected.__init__()  # type: ignore[misc]
    assert sorted(model.state_dict()) == sorted(MLP(data.spec).state_dict())


def test_a_run_has_them_wherever_it_has_its_metrics(
    labbook: Command, script: Callable[[ModuleType], Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_files, "evaluation_plots", lambda *_: {})
    settings = ("model=mlp", "data.limit=300", "trainer.precision=32", "callbacks=none", "metrics=full")
    ended = labbook(*settings, "epochs=2")
    assert ended.code == 0, ended.err
    found, rows = metrics_of(ended.run), rows_of(ended.run)
    tested = rows[found["tested_epoch"] - 1]
    for name in FULL:
        assert found[f"val/{name}"] == pytest.approx(float(tested[f"val/{name}"]))
        assert 0 < found[f"test/{name}"] < 1
    confusion = torch.tensor(found["test/confusion_matrix"]).double()
    hits = confusion.diagonal()
    assert found["test/f1"] == pytest.approx((2 * hits / (confusion.sum(0) + confusion.sum(1))).mean().item())
    assert found["test/balanced_acc"] == pytest.approx((hits / confusion.sum(1)).mean().item())
    events = EventAccumulator(str(ended.run))
    events.Reload()
    assert [item.value for item in events.Scalars("f1/val")] == pytest.approx([float(row["val/f1"]) for row in rows])
    assert events.Scalars("f1/test")[0].value == pytest.approx(found["test/f1"])
    again = script(evaluate)(ended.run)
    assert f"auroc {found['test/auroc']:.4f}" in again.out.splitlines()
    content = torch.load(ended.run / "checkpoints" / "last.ckpt", weights_only=True)
    assert set(content["callbacks"]) == {"Recorder", "Checkpoints"}


@pytest.mark.slow
def test_a_resumed_run_has_them_too(labbook: Command) -> None:
    settings = ("model=mlp", "data.limit=300", "trainer.precision=32", "callbacks=none", "metrics=full")
    whole, begun = labbook(*settings, "epochs=2").run, labbook(*settings, "epochs=1").run
    assert labbook(f"resume={begun}", "epochs=2").code == 0
    assert [row["val/auroc"] for row in rows_of(begun)] == [row["val/auroc"] for row in rows_of(whole)]


@pytest.mark.slow
def test_a_metric_is_named_on_the_command_line_or_in_a_file(labbook: Command, tmp_path: Path) -> None:
    (tmp_path / "own" / "metrics").mkdir(parents=True)
    (tmp_path / "own" / "metrics" / "mine.yaml").write_text(
        "f1:\n  _target_: torchmetrics.classification.MulticlassF1Score\n"
    )
    settings = ("model=mlp", "data.limit=100", "epochs=1", "callbacks=none", "logger=none")
    target = "_target_=torchmetrics.classification.F1Score"
    runs = [
        labbook(*settings, f"+metrics.f1.{target}", "metrics.f1.average=macro"),
        labbook(*settings, f"metrics.f1.{target}", "+metrics.f1.average=macro"),
        labbook("--config-dir", "own", *settings, "metrics=mine"),
        labbook(*settings, "metrics=full", "metrics.auroc=null", "~metrics.average_precision"),
    ]
    assert [ended.err for ended in runs] == [""] * 4
    assert len({metrics_of(ended.run)["test/f1"] for ended in runs}) == 1
    assert "test/auroc" not in metrics_of(runs[3].run)
    assert "test/average_precision" not in metrics_of(runs[3].run)


ONE = "metrics.f1._target_=torchmetrics.classification"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("metrics.acc._target_=torchmetrics.classification.F1Score",), "metrics.acc: every run has a metric of this"),
        (("+metrics.loss._target_=torchmetrics.classification.F1Score",), "metrics.loss: every run has a metric of"),
        (("metrics.f1=macro",), "metrics.f1=macro is not an object that can be created: use metrics.f1._target_=CLASS"),
        (("metrics.f1={}",), "metrics.f1={} is not an object that can be created: use metrics.f1._target_=CLASS"),
        (("metrics.f1.average=macro",), "metrics.f1={'average': 'macro'} is not an object that can be created: use "),
        ((f"{ONE}.F1Score", "metrics.f1.averag=macro"), "metrics.f1.averag is not a setting of torchmetrics.classific"),
        (
            (f"{ONE}.F1Score", "metrics.f1.num_classes=3"),
            "metrics.f1.num_classes=3 does not fit this data, which has n",
        ),
        (
            (f"{ONE}.F1Score", "metrics.f1.task=binary"),
            "metrics.f1.task=binary does not fit this data, which has task=",
        ),
        ((f"{ONE}.BinaryF1Score",), "metrics.f1._target_=torchmetrics.classification.BinaryF1Score is for 2 classes"),
        (
            (f"{ONE}.MultilabelF1Score",),
            "metrics.f1 (torchmetrics.classification.MultilabelF1Score) does not work with 10 cl",
        ),
        ((f"{ONE}.MulticlassConfusionMatrix",), "metrics.f1 (torchmetrics.classification.MulticlassConfusionMatrix) g"),
        ((f"{ONE}.MulticlassRecall", "metrics.f1.average=none"), "metrics.f1 (torchmetrics.classification.MulticlassR"),
        ((f"{ONE}.MulticlassAccuracy", "metrics.f1.top_k=11"), "metrics.f1 (torchmetrics.classification.MulticlassAcc"),
        (
            ("metrics.f1._target_=torchmetrics.MeanMetric",),
            "metrics.f1._target_=torchmetrics.MeanMetric is not a metric of",
        ),
        (("metrics.f1._target_=torch.optim.SGD",), "metrics.f1._target_=torch.optim.SGD is not a subclass of Metric"),
        (
            ("metrics._target_=torchmetrics.classification.F1Score",),
            "metrics._target_=torchmetrics.classification.F1Sc",
        ),
    ],
)
def test_what_cannot_work_is_refused(labbook: Command, arguments: tuple[str, ...], sentence: str) -> None:
    ended = labbook("model=mlp", *arguments)
    assert ended.code == 2
    assert ended.sentence.startswith(sentence)
    assert not list(Path("logs/runs").glob("*"))


@pytest.mark.parametrize(
    ("setting", "objective", "refused"),
    [
        ("validation=test", "val/f1", True),
        ("val_fraction=0", "val/f1", True),
        ("val_fraction=0.2", "val/f1", False),
        ("validation=test", "val/acc", False),
    ],
)
def test_no_objective_stands_for_a_metric_without_validation_images(
    setting: str, objective: str, refused: bool
) -> None:
    metrics = {"f1": {"_target_": "torchmetrics.classification.F1Score"}}
    key, _, value = setting.partition("=")
    data = OmegaConf.from_dotlist([f"data.{key}={value}"])
    config = OmegaConf.merge({"metrics": metrics, "objective": objective}, data)
    assert isinstance(config, DictConfig)
    sentence = rf"^objective=val/f1 needs validation images, and data\.{setting} leaves none"
    with pytest.raises(SettingError, match=sentence) if refused else nullcontext():
        check_objective_is_computed(config)


def test_of_two_classes_a_binary_metric_judges_the_second() -> None:
    data = Digits(image_size=8)
    model = copy.copy(MLP(data.spec))
    vars(model)["spec"] = data.spec.__class__(1, 8, ("cat", "dog"), (0.5,), (0.5,))
    target = "torchmetrics.classification."
    nodes = {
        "recall": {"_target_": f"{target}BinaryRecall"},
        "f1": {"_target_": f"{target}F1Score", "task": "binary"},
        "macro": {"_target_": f"{target}F1Score", "average": "macro"},
    }
    metrics = EvaluationMetrics(build_metrics(nodes, model))
    metrics._add({"logits": torch.tensor([[0.0, 3], [2, 0], [2, 0]]), "labels": torch.tensor([1, 1, 0])}, "")
    metrics._update()
    found = {name: metric.compute().item() for name, metric in metrics.metrics.items()}
    assert found == pytest.approx({"recall": 1 / 2, "f1": 2 / 3, "macro": 2 / 3})


class Silent(LightningModule):
    """Returns nothing of its validation."""


def test_a_step_that_returns_no_logits_is_named() -> None:
    metrics = EvaluationMetrics({"f1": MulticlassF1Score(10)})
    with pytest.raises(SettingError, match=r"^metrics needs a validation_step that returns a dict with logits"):
        metrics.on_validation_batch_end(trainer(), Silent(), None, None, 0)


def test_a_warning_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    data = Digits(limit=60, image_size=8)  # of some classes there is no image for validation
    evaluator = trainer(callbacks=[EvaluationMetrics({"auroc": MulticlassAUROC(10)})])
    for _ in range(2):
        evaluator.validate(MLP(data.spec), datamodule=data, verbose=False)
    assert [item.message for item in caplog.records if item.name == "labbook"] == [
        "metrics.auroc: No positive samples in targets, true positive value should be meaningless."
        " Returning zero tensor in true positive score"
    ]


def in_a_process(rank: int, folder: Path) -> None:
    """Its part of five images, of which the third batch is of the first process alone."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    for name, most in (("most", 5), ("one", 1)):
        metrics = {key: make(3) for key, make in FULL.items()}
        callback = EvaluationMetrics(metrics)
        for first in range(0, most, 2):
            mine = slice(first + rank, first + rank + 1 if first + rank < most else first + rank)
            callback._add({"logits": logits[mine], "labels": labels[mine]}, "")
        callback._update()
        callback_values = {key: metric.compute().item() for key, metric in metrics.items()}
        torch.save(callback_values, folder / f"{name}{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_processes_count_each_image_once(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(in_a_process, (tmp_path,), nprocs=2)  # type: ignore[attr-defined,no-untyped-call]
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    for name, count in (("most", 5), ("one", 1)):
        expected = {key: make(3)(logits[:count].softmax(1), labels[:count]).item() for key, make in FULL.items()}
        for rank in range(2):
            found = torch.load(tmp_path / f"{name}{rank}.pt", weights_only=True)
            assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)

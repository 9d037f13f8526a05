"""The whole program: what a run leaves behind, and that it is the same each time."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from labbook.data import datamodule
from labbook.data.digits import Digits
from labbook.errors import SettingError
from labbook.inference.evaluate import final_test
from labbook.training import checkpoint_io as checkpoints
from tests.conftest import Command, Ended

DEFAULT = ("model=mlp", "trainer.precision=32", "epochs=2")
QUICK = (*DEFAULT, "callbacks=none", "logger=none")
STOPPING = (*DEFAULT, "logger=none", "callbacks=early_stopping", "callbacks.pictures=null")

KEYS = {
    "train/loss", "train/acc", "val/loss", "val/acc", "test/loss", "test/acc", "train_seconds", "images_per_second",
    "epochs", "parameters", "seed", "device", "precision", "status", "code_version",
}  # fmt: skip


def metrics_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return content


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def weights_of(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
    return weights


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights_of(one), weights_of(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def without_times(run: Path) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows_of(run)]


@pytest.fixture(scope="module")
def kept() -> list[tuple[Ended, Path]]:
    """The run below and where it lies, once a test has asked for it."""
    return []


@pytest.fixture
def ended(plotted: None, labbook: Command, kept: list[tuple[Ended, Path]], monkeypatch: pytest.MonkeyPatch) -> Ended:
    """A run with all that comes by default; tests only read it."""
    if not kept:
        kept.append((labbook(*DEFAULT), Path.cwd()))
    ended, folder = kept[0]
    monkeypatch.chdir(folder)
    return ended


def test_a_run_folder_holds_exactly_what_is_promised(ended: Ended) -> None:
    assert ended.code == 0, ended.err
    assert ended.err == ""
    files = sorted(str(path.relative_to(ended.run)) for path in ended.run.rglob("*") if path.is_file())
    events = [name for name in files if name.startswith("events.out.")]
    assert len(events) == 1
    assert [name for name in files if name not in events] == [
        "checkpoints/best.ckpt", "checkpoints/last.ckpt", "config.yaml",
        "figures/confusion_matrix.png", "figures/curves.png", *(["figures/network.svg"] if shutil.which("dot") else []),
        "metrics.csv", "metrics.json", "test_predictions.csv", "train.log",
    ]  # fmt: skip
    assert ended.run.parent == Path("logs/runs")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What a sweep hears of its runs."""
    heard: list[float] = []
    original = final_test.objective_metric
    monkeypatch.setattr(final_test, "objective_metric", lambda *given: heard.append(original(*given)) or heard[-1])
    return heard


def test_metrics_are_the_final_figures(labbook: Command, told: list[float]) -> None:
    run = labbook(*QUICK, "evaluate_train=true", "seed=0").run
    metrics, rows = metrics_of(run), rows_of(run)
    assert told == [metrics["val/acc"]]
    assert metrics.keys() >= KEYS | {"train/acc_eval"}
    assert (metrics["status"], metrics["seed"], metrics["epochs"]) == ("finished", 0, 2)
    assert (metrics["device"], metrics["precision"], metrics["parameters"]) == ("cpu", "32-true", 101_770)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    tested = rows[metrics["tested_epoch"] - 1]
    for name in ("train/loss", "train/acc", "val/loss", "val/acc"):
        assert metrics[name] == float(tested[name])
    assert metrics["train_seconds"] == pytest.approx(sum(float(row["seconds"]) for row in rows))
    confusion = torch.tensor(metrics["test/confusion_matrix"])
    assert confusion.sum() == 360
    assert metrics["test/acc"] == pytest.approx(confusion.diagonal().sum().item() / 360)


def test_the_log_has_what_the_terminal_had(ended: Ended) -> None:
    log = (ended.run / "train.log").read_text()
    for line in ended.out.strip().splitlines():
        assert line in log
    assert "device: CPU" in ended.out
    assert "32-true (as set)" in ended.out


def test_tensorboard_holds_scalars_pictures_and_hyper_parameters(ended: Ended) -> None:
    run = ended.run
    events = EventAccumulator(str(run)).Reload()
    tags = events.Tags()
    assert {"loss/train", "loss/val", "acc/train", "acc/val"} <= set(tags["scalars"])
    assert not [name for name in tags["scalars"] if name.startswith(("train/", "val/"))]
    assert [event.step for event in events.Scalars("acc/val")] == [21, 42]
    pictures = ["test_confusion_matrix", "test_mistakes", "training_curves", "training_images"]
    assert sorted(tags["images"]) == pictures
    plugins = events.SummaryMetadata("_hparams_/session_start_info").plugin_data
    assert b"optimizer.lr" in plugins.content
    assert "_hparams_/experiment" not in tags["tensors"]  # of which TensorBoard takes only one for all runs
    texts = [
        events.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0] for name in ("command", "configuration")
    ]
    assert b"python train.py model=mlp trainer.precision=32 epochs=2" in texts[0]
    assert b"_target_: labbook.models.mlp.MLP" in texts[1]
    assert events.Scalars("acc/test")[0].value == pytest.approx(metrics_of(run)["test/acc"])


def test_the_same_command_gives_the_same_bits(labbook: Command) -> None:
    settings = ("data.limit=300", "epochs=2", "trainer.precision=32", "callbacks=none", "logger=none")
    one, other = (labbook(*settings).run for _ in range(2))
    assert one != other
    assert same_weights(one, other)
    assert without_times(one) == without_times(other)


def test_seeds_differ_and_zero_is_one(labbook: Command) -> None:
    zero, default = (labbook(*QUICK, "debug=fast", *seed).run for seed in (("seed=0",), ()))
    assert not same_weights(zero, default)


def test_the_config_is_enough_to_do_it_again(labbook: Command, tmp_path: Path) -> None:
    run = labbook(*QUICK, "data.limit=100", "optimizer.lr=0.003", "model.width=32").run
    saved = OmegaConf.load(run / "config.yaml")
    assert saved.optimizer.lr == 0.003
    assert saved.config_groups.model == "mlp"
    groups = [f"{group}={choice}" for group, choice in saved.config_groups.items()]
    again = labbook(*groups, *(f"{key}={saved[key]}" for key in ("seed", "epochs")), "trainer.precision=32",
                    f"optimizer.lr={saved.optimizer.lr}", f"model.width={saved.model.width}",
                    "data.limit=100").run  # fmt: skip
    assert same_weights(run, again)


def test_best_weights_are_those_of_the_best_epoch(labbook: Command) -> None:
    run = labbook(*QUICK, "data.limit=300", "epochs=5", "optimizer.lr=0.05").run
    metrics, rows = metrics_of(run), rows_of(run)
    best = max(float(row["val/acc"]) for row in rows)
    assert metrics["val/acc"] == best
    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert content["epoch"] + 1 == metrics["tested_epoch"]


def test_a_test_set_that_is_watched_chooses_nothing(labbook: Command, told: list[float]) -> None:
    run = labbook(*QUICK, "data.validation=test").run
    metrics = metrics_of(run)
    assert metrics["test/acc"] == pytest.approx(metrics["val/acc"])
    assert metrics["tested_epoch"] == 2
    assert not (run / "checkpoints" / "best.ckpt").exists()
    assert told == [metrics["train/acc"]]  # a sweep never hears the test metrics


def test_without_validation(labbook: Command) -> None:
    run = labbook(*QUICK, "data.limit=100", "data.val_fraction=0").run
    assert "val/acc" not in metrics_of(run)
    assert metrics_of(run)["tested_epoch"] == 2


def test_other_loggers_and_callbacks(ended: Ended, labbook: Command) -> None:
    run = labbook(*QUICK).run
    assert same_weights(run, ended.run)
    assert without_times(run) == without_times(ended.run)
    files = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    checkpoints = ["checkpoints/best.ckpt", "checkpoints/last.ckpt"]
    assert files == [*checkpoints, "config.yaml", "metrics.csv", "metrics.json", "test_predictions.csv", "train.log"]


def test_early_stopping_stops(labbook: Command) -> None:
    ended = labbook(*STOPPING, "data.limit=300", "epochs=40",
                    "callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=0.5")  # fmt: skip
    assert ended.code == 0, ended.err
    assert metrics_of(ended.run)["epochs"] < 5


@pytest.mark.parametrize(
    "debug", ["fast", pytest.param("overfit", marks=pytest.mark.slow), pytest.param("profile", marks=pytest.mark.slow)]
)
def test_debugging(labbook: Command, debug: str) -> None:
    ended = labbook("model=mlp", "trainer.precision=32", "callbacks=none", "logger=none", f"debug={debug}")
    assert ended.code == 0, ended.err
    row = rows_of(ended.run)[-1]
    if debug == "fast":
        assert (row["epoch"], row["step"]) == ("1", "1")
    if debug == "overfit":
        assert float(row["train/loss"]) < 0.02
    if debug == "profile":
        assert "run_training_epoch" in (ended.run / "train.log").read_text() + ended.out


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_a_sweep_reads_the_data_once_and_starts_each_run_clean(
    labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    original = Digits.read

    def counted(self: Digits) -> tuple[datamodule.Images, datamodule.Images]:
        nonlocal read
        read += 1
        return original(self)

    monkeypatch.setattr(Digits, "read", counted)
    ended = labbook("-m", *QUICK, "model.depth=1,2", "optimizer=sgd,adam")
    assert ended.code == 0, ended.err
    assert read == 1
    runs = [Path(line.removeprefix("run: ")) for line in ended.out.splitlines() if line.startswith("run: ")]
    assert len(set(runs)) == 4
    assert {run.parent.parent for run in runs} == {Path("logs/sweeps")}
    alone = labbook(*QUICK, "model.depth=2", "optimizer=adam").run
    in_sweep = next(run for run in runs if run.name.startswith("optimizer-adam_depth-2-"))
    assert same_weights(alone, in_sweep)
    assert without_times(alone) == without_times(in_sweep)


@pytest.mark.slow
def test_early_stopping_knows_that_a_loss_falls(labbook: Command) -> None:
    run = labbook(
        *STOPPING, "data.limit=600", "epochs=5", "objective=val/loss", "callbacks.early_stopping.patience=2"
    ).run
    losses = [float(row["val/loss"]) for row in rows_of(run)]
    assert len(losses) == 5
    assert losses[-1] < losses[0]


def test_an_epoch_without_validation_has_no_old_figures(labbook: Command) -> None:
    run = labbook(*QUICK, "data.limit=100", "epochs=5", "trainer.check_val_every_n_epoch=2").run
    assert [bool(row["val/acc"]) for row in rows_of(run)] == [False, True, False, True, False]
    assert metrics_of(run)["tested_epoch"] in (2, 4)


def test_a_diverged_epoch_does_not_replace_a_good_checkpoint(labbook: Command) -> None:
    ended = labbook(*QUICK, "epochs=3", "optimizer=sgd", "optimizer.lr=1e38", "data.batch_size=2000")
    assert ended.code == 1
    assert not list((ended.run / "checkpoints").iterdir())
    assert metrics_of(ended.run)["status"] == "failed"


def test_a_refusal_after_training_keeps_what_was_trained(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> None:
        raise SettingError("the weights cannot be read")

    monkeypatch.setattr(checkpoints, "load_weights", refusing)
    ended = labbook(*QUICK)
    assert ended.code == 2
    assert (ended.run / "checkpoints" / "last.ckpt").exists()
    assert metrics_of(ended.run)["status"] == "failed"

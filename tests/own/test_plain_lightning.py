"""What a user's own module comes to here and with a Trainer of Lightning alone."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mylab.data.several_loaders import SeveralLoaders
from mylab.models.hooks import Hooks, ShortEpochs, TwoOptimizers
from pytorch_lightning import LightningDataModule, LightningModule, Trainer, seed_everything
from pytorch_lightning.loggers import CSVLogger

from tests.conftest import Command


def plain(model: type[LightningModule], data: LightningDataModule) -> tuple[LightningModule, Trainer, dict[str, Any]]:
    """Two epochs, and the metrics of their end."""
    seed_everything(7, verbose=False)
    module = model()
    logger = CSVLogger("plain")
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=logger, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, enable_checkpointing=False, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
    return module, trainer, metrics


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize(
    ("name", "model", "objective"),
    [
        ("hooks", Hooks, "val/mse/dataloader_idx_1"),
        ("two_optimizers", TwoOptimizers, "val/mae"),
        pytest.param("short_epochs", ShortEpochs, "loss", marks=pytest.mark.slow),
    ],
)
def test_a_module_comes_to_the_same_weights_and_metrics(
    mylab: Command, name: str, model: type[LightningModule], objective: str
) -> None:
    common = ("data=several_loaders", "seed=7", "epochs=2", "callbacks=none", "test_checkpoint=last", "logger=lines",
              "++trainer.log_every_n_steps=1")  # fmt: skip
    ended = mylab(f"model={name}", f"objective={objective}", *common)
    assert ended.code == 0, ended.err
    module, trainer, metrics = plain(model, SeveralLoaders())
    saved = torch.load(ended.run / "checkpoints" / "last.ckpt", weights_only=True)
    own = module.state_dict()
    assert saved["state_dict"].keys() == own.keys()
    assert all(saved["state_dict"][name].equal(own[name]) for name in own)
    assert saved["global_step"] == trainer.global_step
    with (ended.run / "metrics.csv").open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    logged = {key: value for key, value in metrics.items() if not key.startswith("loss_")}
    assert {key: float(row[key]) for key in logged} == logged
    assert row.keys() - logged.keys() <= {"epoch", "step", "lr", "lr/1", "seconds", "steps_per_second"}

    with (Path("plain") / "lightning_logs" / "version_0" / "metrics.csv").open(newline="") as file:
        steps = [float(line["loss_step"]) for line in csv.DictReader(file) if line["loss_step"]]
    lines = [json.loads(line) for line in (ended.run / "lines.jsonl").read_text().splitlines()]
    assert [line["loss_step"] for line in lines if "loss_step" in line] == steps
    assert len(steps) == (6 if name == "short_epochs" else 10)
    assert not any("hidden" in key for line in lines for key in line)  # logger=False
    assert [line["loss"] for line in lines if "loss" in line][-1] == metrics["loss"]

"""The well-known Lightning-Hydra-Template as a way to train: its own module, on the same images."""

import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, TensorDataset

from labbook.errors import SettingError
from tools.benchmark.cases import Case, prepared, scratch
from tools.benchmark.contenders import Clock, Contestant, Terminal

MODULE = "src/models/mnist_module.py"  # within a clone of the template


def contestant(folder: Path) -> Contestant:
    """The template in a folder, a clone of it.

    Raises:
        SettingError: the folder has no such file.
    """
    file = folder / MODULE
    if not file.is_file():
        raise SettingError(f"--template={folder} must be a clone of the Lightning-Hydra-Template: it has no {MODULE}")
    sys.modules.setdefault("lightning", pytorch_lightning)  # the same code under its other name
    spec = importlib.util.spec_from_file_location("mnist_module", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return partial(_train, module.MNISTLitModule)


def _train(make: Callable[..., Any], case: Case, precision: str) -> float:
    """Seconds of a step with the template's default callbacks and logger, in 32 bits as is its default."""
    _, data, network = prepared(case.composed(f"trainer.precision={precision}"))
    pixels, labels = data.parts["train"][:2]
    images = TensorDataset(pixels.float().div(127.5).sub(1), labels)
    loader = DataLoader(images, case.batch_size, shuffle=True)
    optimizer = partial(torch.optim.Adam, lr=0.001)
    clock = FirstStep()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with scratch() as folder, redirect_stdout(Terminal()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = make(net=network, optimizer=optimizer, scheduler=None, compile=False)
        trainer = Trainer(
            max_epochs=1,
            accelerator="auto",
            devices=1,
            callbacks=[RichProgressBar(), ModelCheckpoint(folder, save_last=True), clock],
            logger=TensorBoardLogger(folder),
            enable_model_summary=False,
            limit_val_batches=0,
        )
        trainer.fit(module, loader)
    return clock.step


class FirstStep(Clock):
    """Leaves out the first step only: nothing is prepared for several steps."""

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Nothing to look up."""

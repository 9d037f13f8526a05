"""The fraction of images with an uncertain prediction."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer


class Unsure(Callback):
    """Logs the fraction of validation images whose two highest probabilities differ by less than `margin`."""

    def __init__(self, margin: float = 0.1) -> None:
        self.margin = margin

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.margins: list[torch.Tensor] = []

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        first, second = outputs["logits"].softmax(1).topk(2).values.T
        self.margins.append(first - second)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        unsure = torch.cat(self.margins) < self.margin
        pl_module.log("val/unsure", unsure.float().mean())

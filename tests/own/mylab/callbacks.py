"""What the network is least sure of, from the logits of the validation."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor


class Unsure(Callback):
    """Logs the share of validation images whose two likeliest classes are within `margin` of each other."""

    def __init__(self, margin: float = 0.1) -> None:
        self.margin = margin
        self.margins: list[Tensor] = []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Keep the margins of a batch."""
        first, second = outputs["logits"].softmax(1).topk(2).values.T
        self.margins.append(first - second)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the share."""
        margins = torch.cat(self.margins)
        pl_module.log("val/unsure", (margins < self.margin).float().mean(), logger=False)
        self.margins = []

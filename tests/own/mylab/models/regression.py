"""Regression: one number from several numbers."""

import torch.nn.functional as F
import torchmetrics
from pytorch_lightning import LightningModule
from torch import Tensor, nn


class Regression(LightningModule):
    def __init__(self, features: int = 4, hidden: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.r2 = torchmetrics.R2Score()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs).squeeze(1)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        inputs, targets = batch
        loss = F.mse_loss(self(inputs), targets)
        self.log("train/mse", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.evaluate(batch, "val")

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.evaluate(batch, "test")

    def evaluate(self, batch: list[Tensor], part: str) -> None:
        inputs, targets = batch
        predictions = self(inputs)
        self.r2(predictions, targets)
        self.log_dict({f"{part}/mse": F.mse_loss(predictions, targets), f"{part}/r2": self.r2})

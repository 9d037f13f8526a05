"""Contrastive learning of two views of each image, without labels (Chen et al., arXiv 2002.05709)."""

from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from torch import Tensor, nn


class SimCLR(LightningModule):
    def __init__(self, size: int = 16, lr: float = 0.01, temperature: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(8, size)

    def step(self, batch: Any, name: str) -> Tensor:
        (first, second), _ = batch
        features = F.normalize(self.head(self.encoder(torch.cat([first, second]))), dim=1)
        similarity = features @ features.T / self.hparams["temperature"]
        similarity.fill_diagonal_(-torch.inf)
        partners = torch.arange(len(features), device=self.device).roll(len(first))
        loss = F.cross_entropy(similarity, partners)
        self.log(name, loss, on_epoch=True)
        return loss

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.step(batch, "contrastive_loss")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.step(batch, "val_contrastive_loss")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.hparams["lr"])

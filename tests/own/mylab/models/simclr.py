"""Contrastive learning of two views of each image (Chen et al., arXiv 2002.05709), without labels."""

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

    def step(self, views: list[Tensor], name: str) -> Tensor:
        features = F.normalize(self.head(self.encoder(torch.cat(views))), dim=1)
        similar = features @ features.T / self.hparams["temperature"]
        similar.fill_diagonal_(-torch.inf)
        count = len(views[0])
        partners = torch.arange(2 * count, device=self.device).roll(count)
        loss = F.cross_entropy(similar, partners)
        self.log(name, loss, on_epoch=True)
        return loss

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.step(batch, "contrastive_loss")

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.step(batch, "val_contrastive_loss")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.hparams["lr"])

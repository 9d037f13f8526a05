"""Samples of a function, in tensors with standard DataLoaders."""

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset


class Numbers(LightningDataModule):
    def __init__(self, batch_size: int = 16, count: int = 96) -> None:
        super().__init__()
        self.batch_size, self.count = batch_size, count

    def setup(self, stage: str) -> None:
        random = torch.Generator().manual_seed(1)
        inputs = torch.randn(self.count, 4, generator=random)
        targets = inputs[:, 0] * 2 + inputs[:, 1] ** 2
        self.parts = [TensorDataset(*part) for part in zip(inputs.split(32), targets.split(32), strict=True)]

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.parts[0], self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.parts[1], self.batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.parts[2], self.batch_size)

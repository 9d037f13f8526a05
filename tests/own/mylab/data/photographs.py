"""A data set of torchvision behind plain DataLoaders with workers: images and their classes, or two views of each."""

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import FakeData
from torchvision.transforms import v2

from labbook.data.spec import ImageSpec

SIZE = 16


class Photographs(LightningDataModule):
    """The `spec` lets the networks of labbook train on it, too."""

    spec = ImageSpec(3, SIZE, ("cat", "dog", "owl"), (0.5,) * 3, (0.5,) * 3)

    def __init__(self, batch_size: int = 8, count: int = 24, workers: int = 1) -> None:
        super().__init__()
        self.batch_size, self.count, self.workers = batch_size, count, workers
        steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)]
        self.transform = v2.Compose(steps)

    def load(self, part: int, shuffle: bool = False) -> DataLoader:
        images = FakeData(self.count, (3, SIZE, SIZE), 3, self.transform, random_offset=part * self.count)
        return DataLoader(images, self.batch_size, shuffle, num_workers=self.workers)

    def train_dataloader(self) -> DataLoader:
        return self.load(0, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self.load(1)

    def test_dataloader(self) -> DataLoader:
        return self.load(2)


class TwoViews(Photographs):
    """Each image twice, cut at random."""

    def __init__(self, batch_size: int = 8, count: int = 24, workers: int = 1) -> None:
        super().__init__(batch_size, count, workers)
        crop = v2.Compose([self.transform, v2.RandomResizedCrop(SIZE, antialias=True)])
        self.transform = lambda image: (crop(image), crop(image))

    def load(self, part: int, shuffle: bool = False) -> DataLoader:
        loader = super().load(part, shuffle)
        return DataLoader(loader.dataset, self.batch_size, shuffle, num_workers=self.workers, collate_fn=views)


def views(samples: list[tuple[tuple[Tensor, Tensor], int]]) -> list[Tensor]:
    """Pairs of views to a batch of the first and one of the second."""
    return [torch.stack(view) for view in zip(*(pair for pair, _ in samples), strict=True)]

"""Any number of photos, read by worker processes during the training."""

from pathlib import Path

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from labbook.data.image_spec import ImageSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Photographs(LightningDataModule):
    """The folders train, val and test in `root`, each with a folder for each class."""

    def __init__(self, root: str, size: int = 224, batch_size: int = 64, workers: int = 4) -> None:
        super().__init__()
        self.root, self.size, self.batch_size, self.workers = Path(root), size, batch_size, workers
        names = sorted(folder.name for folder in (self.root / "train").iterdir())
        self.spec = ImageSpec(3, size, tuple(names), MEAN, STD)  # needed by Labbook's networks

    def transform(self, training: bool) -> v2.Transform:
        change = [v2.RandomResizedCrop(self.size), v2.RandomHorizontalFlip()]
        keep = [v2.Resize(self.size), v2.CenterCrop(self.size)]
        scale = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
        return v2.Compose([v2.ToImage(), *(change if training else keep), *scale])

    def loader(self, part: str) -> DataLoader:
        training = part == "train"
        images = ImageFolder(str(self.root / part), self.transform(training))
        return DataLoader(images, self.batch_size, shuffle=training, num_workers=self.workers)

    def train_dataloader(self) -> DataLoader:
        return self.loader("train")

    def val_dataloader(self) -> DataLoader:
        return self.loader("val")

    def test_dataloader(self) -> DataLoader:
        return self.loader("test")

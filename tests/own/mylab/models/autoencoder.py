"""An autoencoder on the images of any data set."""

import torch.nn.functional as F
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.data.loader import Batch


class Autoencoder(LightningModule):
    """Without `configure_optimizers`, the groups `optimizer` and `scheduler` are used."""

    def __init__(self, spec: ImageSpec, width: int = 16) -> None:
        super().__init__()
        pixels = spec.channels * spec.size**2
        self.spec = spec
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU())
        self.decoder = nn.Linear(width, pixels)

    def forward(self, images: Tensor) -> Tensor:
        """Images [n, C, H, W] to images of the same shape."""
        return self.decoder(self.encoder(images)).view_as(images)

    def step(self, batch: Batch, part: str) -> Tensor:
        loss = F.mse_loss(self(batch.images), batch.images)
        self.log(f"{part}/loss", loss, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.step(batch, "test")

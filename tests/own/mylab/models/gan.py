"""A GAN: two optimizers and manual optimization, as in Lightning's own example."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from labbook.data.image_spec import ImageSpec
from labbook.data.loader import Batch


class GAN(LightningModule):
    def __init__(self, spec: ImageSpec, optimizer: Callable[..., Optimizer], latent: int = 8) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.optimizer, self.latent = optimizer, latent
        pixels = spec.channels * spec.size**2
        self.generator = nn.Sequential(nn.Linear(latent, 32), nn.ReLU(), nn.Linear(32, pixels))
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 32), nn.ReLU(), nn.Linear(32, 1))

    def configure_optimizers(self) -> list[Optimizer]:
        return [self.optimizer(self.generator.parameters()), self.optimizer(self.discriminator.parameters())]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        g_optimizer, d_optimizer = self.optimizers()
        fake = self.generator(torch.randn(len(batch.images), self.latent, device=self.device))
        g_loss = self.adversarial(fake, real=True)
        self.update(g_optimizer, g_loss)
        d_loss = self.adversarial(batch.images, real=True) + self.adversarial(fake.detach(), real=False)
        self.update(d_optimizer, d_loss)
        self.log_dict({"g_loss": g_loss, "d_loss": d_loss})

    def adversarial(self, images: Tensor, real: bool) -> Tensor:
        logits = self.discriminator(images)
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))

    def update(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

"""Stochastic weight averaging: validate, save and test the mean of the weights of the last epochs."""

from typing import Any

import torch
from pydantic import PositiveInt
from pytorch_lightning import LightningModule, Trainer

from labbook.callbacks.ema import EMA
from labbook.data.datamodule import ImageDataModule
from labbook.errors import SettingError
from labbook.training.capabilities import is_image_data
from labbook.training.parameter_groups import batch_norms


class SWA(EMA):
    """From epoch `start` on, averages the weights at the end of each epoch (Izmailov et al., arXiv 1803.05407).

    Before validation, the statistics of batch normalisation are computed again from the augmented training images,
    with the average as weights. Before epoch `start`, the weights themselves are validated and saved.
    """

    def __init__(self, start: PositiveInt = 1) -> None:
        super().__init__()
        self.start = start
        self.renewed = False  # the average's statistics of batch normalisation are up to date

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage != "fit":
            return
        if self.start > (trainer.max_epochs or self.start):
            raise SettingError(
                f"callbacks.swa.start={self.start} is after the last epoch: use 1 to {trainer.max_epochs}"
            )
        if [isinstance(item, EMA) for item in trainer.callbacks].count(True) > 1:  # type: ignore[attr-defined]
            raise SettingError("callbacks.swa and callbacks.ema both replace the weights: use one of them")
        if batch_norms(pl_module) and (trainer.world_size > 1 or not is_image_data(trainer.datamodule)):  # type: ignore[attr-defined]
            raise SettingError(
                "callbacks.swa computes batch normalisation again from images of an ImageDataModule in one process:"
                " use trainer.devices=1 and such data, or callbacks=ema"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.renewed = False

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if not trainer.is_last_batch:
            return
        averaged = max(0, trainer.current_epoch + 1 - self.start)  # epochs in the average so far
        for name, weight in self.weights.items():
            self.other[name].lerp_(weight, 1 / (averaged + 1))
        self.renewed = trainer.current_epoch + 1 < self.start

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_start(trainer, pl_module)
        self._renew(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        self._renew(trainer, pl_module)

    def _renew(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the statistics of batch normalisation of the average, which the network has now."""
        if self.renewed or trainer.sanity_checking:
            return
        self.renewed = True
        if batch_norms(pl_module):
            data: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
            devices = [pl_module.device] if pl_module.device.type == "cuda" else []
            with torch.random.fork_rng(devices), trainer.precision_plugin.forward_context():
                torch.manual_seed(data.seed)  # for dropout: equal after a resume, and no trace in the training
                renew_batch_norm(pl_module, data)


@torch.no_grad()
def renew_batch_norm(network: LightningModule, data: ImageDataModule) -> None:
    """Replace the statistics of batch normalisation by the mean over all training batches.

    Frozen layers, which are in evaluation mode during training, keep theirs.
    """
    was_training = network.training
    network.train()
    layers = [layer for layer in batch_norms(network) if layer.training]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean
    for batch in data.make_loader("train", training=True):
        moved = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, network.device, 0), 0)
        network(moved.images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.train(was_training)

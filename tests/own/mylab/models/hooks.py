"""Regression with most of Lightning's hooks: several loaders, own clipping, an own step of the schedule."""

from typing import Any

import torch
import torch.nn.functional as F
import torchmetrics
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer


class Noted(Callback):
    """Logs how many steps there were."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("steps", float(trainer.global_step))


class Hooks(LightningModule):
    def __init__(self, features: int = 4, hidden: int = 8) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers: nn.Module | None = None
        self.error = torchmetrics.MeanAbsoluteError()

    def configure_model(self) -> None:
        if self.layers is None:
            features, hidden = self.hparams["features"], self.hparams["hidden"]
            self.layers = nn.Sequential(nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def configure_callbacks(self) -> list[Callback]:
        return [Noted()]

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if self.current_epoch > 0:  # the first epoch does not count
            scheduler.step()

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad.clamp_(-0.05, 0.05)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        norms = [parameter.grad.norm() for parameter in self.parameters() if parameter.grad is not None]
        self.log("largest_gradient", torch.stack(norms).max(), on_step=False, on_epoch=True, reduce_fx="max")

    def outputs(self, inputs: Tensor) -> Tensor:
        assert self.layers is not None
        return self.layers(inputs).squeeze(1)

    def training_step(self, batch: dict[str, list[Tensor]], batch_idx: int) -> Tensor:
        losses = {name: F.mse_loss(self.outputs(inputs), targets) for name, (inputs, targets) in batch.items()}
        loss = torch.stack([*losses.values()]).mean()
        self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log_dict({f"loss/{name}": value for name, value in losses.items()}, on_step=False, on_epoch=True)
        self.log("hidden", loss, logger=False)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        inputs, targets = batch
        self.error(self.outputs(inputs), targets)
        self.log("val/mse", F.mse_loss(self.outputs(inputs), targets))
        if dataloader_idx == 0:
            self.log("val/mae", self.error, add_dataloader_idx=False)

    def test_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        inputs, targets = batch
        self.log("test/mse", F.mse_loss(self.outputs(inputs), targets))

    def on_train_epoch_end(self) -> None:
        self.log("weight", sum(parameter.abs().sum() for parameter in self.parameters()))


class TwoOptimizers(Hooks):
    """The same, with an optimizer for each layer, stepped by hand."""

    def __init__(self, features: int = 4, hidden: int = 8) -> None:
        super().__init__(features, hidden)
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:
        self.configure_model()
        first, _, last = self.layers  # type: ignore[misc]
        optimizers = [torch.optim.Adam(first.parameters(), 0.01), torch.optim.SGD(last.parameters(), 0.1)]
        return optimizers, [torch.optim.lr_scheduler.ExponentialLR(optimizers[0], 0.5)]

    def training_step(self, batch: dict[str, list[Tensor]], batch_idx: int) -> None:
        loss = super().training_step(batch, batch_idx)
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.lr_schedulers().step()


class ShortEpochs(Hooks):
    """The same, with three steps in each epoch; Lightning validates none that ends so."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        return -1 if batch_idx == 3 else None

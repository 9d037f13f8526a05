"""A step of training with nothing around it: the limit of any framework."""

import time

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from labbook.training.classifier import Classifier
from labbook.training.hardware import DeviceChoice
from labbook.training.optimizers import make_optimizer

BITS = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
DEVICES = {"gpu": "cuda"}  # where torch has another name than Lightning


class Forward:
    """A network on a device, in a precision."""

    def __init__(self, model: LightningModule, choice: DeviceChoice) -> None:
        self.device = torch.device(DEVICES.get(choice.accelerator, choice.accelerator))
        self.network = model.to(self.device)
        self._bits = BITS.get(choice.precision)
        self._mixed = torch.autocast(self.device.type, self._bits, enabled=self._bits is not None)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [n, C, H, W] on the device -> outputs [n, ...], without what training would need."""
        with torch.inference_mode(), self._mixed:
            outputs: Tensor = self.network(images)
        return outputs


class Bare(Forward):
    """This program's network, optimizer, device and precision, in a bare loop."""

    def __init__(self, model: Classifier, choice: DeviceChoice, *, fused: bool = True) -> None:
        super().__init__(model, choice)
        self.model = model
        self.optimizer = make_optimizer(model.task.optimizer, model.parameter_groups(), fused)
        self._scaler = torch.amp.GradScaler(
            self.device.type, enabled=self._bits is torch.float16
        )  # else it does nothing

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Forward, backward and optimizer: normalised images [n, C, H, W] and labels [n] on the device."""
        with self._mixed:
            loss = self.model.training_loss(self.model.training_logits(images), labels)
        self.optimizer.zero_grad()
        torch.autograd.backward(self._scaler.scale(loss))
        self._scaler.step(self.optimizer)
        self._scaler.update()


def now(device: torch.device) -> float:
    """Seconds, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()

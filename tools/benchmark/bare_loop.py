"""A step of training with nothing around it: the limit of any framework."""

import time

import torch
from torch import Tensor

from labbook.hardware import Choice
from labbook.models.classifier import Classifier
from labbook.models.optimizing import optimizer_of

BITS = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
DEVICES = {"gpu": "cuda"}  # where torch has another name than Lightning


class Bare:
    """This program's network, optimizer, device and precision, in a bare loop."""

    def __init__(self, model: Classifier, choice: Choice, *, fused: bool = True) -> None:
        self.device = torch.device(DEVICES.get(choice.accelerator, choice.accelerator))
        self.model = model.to(self.device)
        self.optimizer = optimizer_of(model.task.optimizer, model.parameter_groups(), fused)
        bits = BITS.get(choice.precision)
        self._mixed = torch.autocast(self.device.type, bits, enabled=bits is not None)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=bits is torch.float16)  # else it does nothing

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Forward, backward and optimizer: normalised images [n, C, H, W] and labels [n] on the device."""
        with self._mixed:
            loss = self.model.training_loss(self.model.outputs(images), labels)
        self.optimizer.zero_grad()
        torch.autograd.backward(self._scaler.scale(loss))
        self._scaler.step(self.optimizer)
        self._scaler.update()

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [n, C, H, W] on the device -> logits [n, classes], without what training would need."""
        with torch.inference_mode(), self._mixed:
            logits: Tensor = self.model(images)
        return logits


def now(device: torch.device) -> float:
    """Seconds, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()

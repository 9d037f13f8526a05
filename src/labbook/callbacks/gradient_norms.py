"""The norm of each layer's gradient, averaged over the epoch: shows vanishing and exploding gradients."""

import math
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from labbook.training.epoch_rows import log_epoch
from labbook.training.torch_internals import unscales_in_step


class GradientNorms(Callback):
    """Logs `gradient/LAYER`: the L2 norm of the gradient of a layer's own parameters, averaged over the steps.

    The gradient is the one before clipping. The sums stay on the device: one synchronisation per epoch.
    """

    def __init__(self) -> None:
        self.layers: dict[str, list[nn.Parameter]] = {}
        self.sums: Tensor | None = None  # float [layers + 1]: sum of the norms of all steps, and the number of steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.layers = parameters_by_owner(pl_module)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Add the norms of this step, except for one that 16-bit scaling will skip."""
        gradients = ([item.grad for item in layer if item.grad is not None] for layer in self.layers.values())
        norms = torch.stack([get_total_norm(tensors).to(pl_module.device) for tensors in gradients])  # [layers]
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and unscales_in_step(optimizer):
            norms = norms / scaler.scale(torch.ones_like(norms))  # a fused optimizer unscales in its own step
        step = torch.cat([norms, torch.ones_like(norms[:1])])
        step = torch.where(norms.isfinite().all(), step, 0.0).to(torch.float32 if step.is_mps else torch.float64)
        self.sums = step if self.sums is None else self.sums.to(step) + step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.sums is None:  # no optimizer made a step
            return
        *sums, steps = self.sums.tolist()
        means = [value / steps if steps else math.nan for value in sums]
        log_epoch(pl_module, {f"gradient/{name}": mean for name, mean in zip(self.layers, means, strict=True)})
        self.sums = None

    def state_dict(self) -> dict[str, Any]:
        return {"sums": None if self.sums is None else self.sums.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict["sums"] is not None:
            self.sums = torch.tensor(state_dict["sums"], dtype=torch.float64)


def parameters_by_owner(network: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trained parameters of each module, by its name, in the order of the network."""
    own = {
        name or type(network).__name__: [item for item in module.parameters(recurse=False) if item.requires_grad]
        for name, module in network.named_modules()
    }
    return {name: parameters for name, parameters in own.items() if parameters}

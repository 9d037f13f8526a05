"""A LightningModule whose steps cost less."""

from typing import Any

from pytorch_lightning import LightningModule
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch.optim import Optimizer


class QuickModule(LightningModule):
    """Spends less around each step than Lightning does, and clips the gradients of fused optimizers in bf16."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the name of every hook that it calls; torch's way to set an attribute takes 2 us.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Forget the gradients; for torch's own optimizers without what it does around it (0.03 ms)."""
        if type(optimizer).zero_grad is not Optimizer.zero_grad:
            optimizer.zero_grad()
            return
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip, if asked to."""
        plugin = self.trainer.precision_plugin
        if not gradient_clip_val:
            return
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            # In bf16 nothing is scaled, and yet Lightning would refuse fused optimizers.
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val, algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

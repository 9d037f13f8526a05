"""Lookahead: the weights are pulled back to a slow copy, less and less during the training."""

from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import PositiveInt
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from labbook.training.optimizers import steps_per_epoch

POWER = 3  # fraction of the training


class Lookahead(Callback):
    """Every few steps weights and slow copy are averaged, and training continues from the average.

    The slow copy keeps `decay ** every * (step / steps) ** 3` of itself and takes the rest from the weights. At the end
    the network has the slow copy (Zhang et al., 2019; the rule is that of Jordan, arXiv 2404.00498). A training that is
    stopped early ends with its current weights.
    """

    def __init__(self, every: PositiveInt = 5, decay: Annotated[float, Ge(0), Le(1)] = 0.95) -> None:
        self.every, self.decay = every, decay
        self.slow: dict[str, Tensor] = {}  # of weights and float buffers
        self.step = 0  # the last step with an update
        self.steps = 0  # of the whole training

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self.slow = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the weights, or move the checkpoint's copy to their device."""
        self.steps = steps_per_epoch(trainer) * (trainer.max_epochs or 0)
        self.step = trainer.global_step
        self.slow = {
            name: self.slow[name].to(fast.device) if name in self.slow else fast.clone()
            for name, fast in float_state(pl_module).items()
        }

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        step, last = trainer.global_step, trainer.global_step >= self.steps
        if step == self.step or not (last or step % self.every == 0):
            return
        self.step = step
        kept = self.decay**self.every * (step / self.steps) ** POWER
        for name, fast in float_state(pl_module).items():
            if step % self.every == 0:
                self.slow[name].lerp_(fast, 1 - kept)
            fast.copy_(self.slow[name])

    def state_dict(self) -> dict[str, Any]:
        return {"slow": self.slow}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.slow = state_dict["slow"]


def float_state(network: LightningModule) -> dict[str, Tensor]:
    """Weights and float buffers by name, without gradients."""
    return {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}

"""An exponential moving average of the weights, which is validated, saved as the result and tested."""

from typing import Annotated, Any

from annotated_types import Ge, Lt
from pydantic import PositiveInt
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from labbook.callbacks.lookahead import float_state


class EMA(Callback):
    """Every few steps the average keeps `decay` of itself and takes the rest from the weights.

    In the first steps it keeps less, (1 + step) / (10 + step), so that it soon forgets the initial weights. Float
    buffers, such as the statistics of batch normalisation, are averaged too.

    The network has the average during validation and between epochs, so best.ckpt and the test use what was validated.
    Each checkpoint has the average as `state_dict`, and the weights for a resume as `training_weights`.

    Lightning's own EMAWeightAveraging swaps the two in a checkpoint saved during validation, leaves the average out of
    weights-only checkpoints, and needs several operations per parameter.
    """

    def __init__(self, decay: Annotated[float, Ge(0), Lt(1)] = 0.999, update_every_n_steps: PositiveInt = 1) -> None:
        self.decay, self.update_every_n_steps = decay, update_every_n_steps
        self.weights: dict[str, Tensor] = {}  # of the network: its weights and float buffers
        self.other: dict[str, Tensor] = {}  # what the network does not have now: the average, or the training weights
        self.shown = False  # the network has the average
        self.step = 0  # the last step with an update

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self.other, self.shown = {}, False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the average, or continue with that of the checkpoint."""
        self.weights, self.step = float_state(pl_module), trainer.global_step
        if not self.other:
            self.other = {name: weight.clone() for name, weight in self.weights.items()}
        self._exchange(show=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._exchange(show=False)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step == self.step or step % self.update_every_n_steps:
            return
        self.step = step
        decay = min(self.decay, (1 + step) / (10 + step))
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(list(self.other.values()), list(self.weights.values()), step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._exchange(show=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._exchange(show=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The average is saved, and tested after the last epoch."""
        self._exchange(show=True)

    def _exchange(self, show: bool) -> None:
        """Give the network the average or the training weights, if it does not have them."""
        if show == self.shown:
            return
        self.shown = show
        had = {name: weight.clone() for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            weight.copy_(self.other[name])
        self.other = had

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        own = float_state(pl_module)
        average, training = (own, self.other) if self.shown else (self.other, own)
        checkpoint["state_dict"] = checkpoint["state_dict"] | average
        checkpoint["training_weights"] = training

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore both; without an average in the checkpoint, its weights are both."""
        if "training_weights" in checkpoint:
            self.other, self.shown = checkpoint["training_weights"], True

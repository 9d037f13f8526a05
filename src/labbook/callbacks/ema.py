"""An exponential moving average of the weights, which is what is validated, saved as the result and tested."""

from typing import Annotated, Any

from annotated_types import Ge, Lt
from pydantic import PositiveInt
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from labbook.callbacks.lookahead import float_state


class EMA(Callback):
    """Every few steps the average keeps `decay` of itself and takes the rest from the weights, which do not see it.

    In the first steps it keeps less, (1 + step) / (10 + step), so that it soon forgets the weights that the training
    began with. Float buffers, such as the statistics of batch normalisation, are averaged alike.

    The network has the average during validation and between epochs, so that best.ckpt and the test get what was
    validated; every checkpoint has it as `state_dict`, and the weights to go on from as `training_weights`.

    Lightning's own EMAWeightAveraging saves a checkpoint that is made during a validation with average and weights
    interchanged, and one of the weights alone without the average; it also takes several operations for each
    parameter.
    """

    def __init__(self, decay: Annotated[float, Ge(0), Lt(1)] = 0.999, update_every_n_steps: PositiveInt = 1) -> None:
        self.decay, self.update_every_n_steps = decay, update_every_n_steps
        self.weights: dict[str, Tensor] = {}  # of the network: its weights and float buffers themselves
        self.other: dict[str, Tensor] = {}  # what the network does not have now: the average, or the training's weights
        self.shown = False  # the network has the average
        self.step = 0  # the last one that was looked at

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget the network of a training before."""
        if stage == "fit":
            self.other, self.shown = {}, False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the average, or go on with that of the checkpoint, which the network has."""
        self.weights, self.step = float_state(pl_module), trainer.global_step
        if not self.other:
            self.other = {name: weight.clone() for name, weight in self.weights.items()}
        self._exchange(show=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the training its weights."""
        self._exchange(show=False)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the weights in, if it is time and an optimizer step was made."""
        step = trainer.global_step
        if step == self.step or step % self.update_every_n_steps:
            return
        self.step = step
        decay = min(self.decay, (1 + step) / (10 + step))
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(list(self.other.values()), list(self.weights.values()), step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        self._exchange(show=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the training its weights: there may be validations within an epoch."""
        self._exchange(show=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What is saved, and tested after the last epoch, is the average."""
        self._exchange(show=True)

    def _exchange(self, show: bool) -> None:
        """Give the network the average, or the training's weights, unless it has them."""
        if show == self.shown:
            return
        self.shown = show
        had = {name: weight.clone() for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            weight.copy_(self.other[name])
        self.other = had

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Both: the average where the weights are looked for."""
        own = float_state(pl_module)
        average, training = (own, self.other) if self.shown else (self.other, own)
        checkpoint["state_dict"] = checkpoint["state_dict"] | average
        checkpoint["training_weights"] = training

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take up both; a checkpoint of a training without an average has its weights as both."""
        if "training_weights" in checkpoint:
            self.other, self.shown = checkpoint["training_weights"], True

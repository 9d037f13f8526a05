"""Train the frozen layers of a network later, from the last to the first."""

from pydantic import PositiveInt
from pytorch_lightning import Callback, LightningModule, Trainer

from labbook.errors import SettingError
from labbook.training.capabilities import is_classifier
from labbook.training.freezing import Freezing


class Unfreeze(Callback):
    """From the start of an epoch on, trains `layers` more of the frozen layers in each epoch; null: all at once.

    The layers are those that `model.freeze` froze. Howard and Ruder, 2018, "Universal language model fine-tuning for
    text classification" unfreeze one layer in each epoch. What is frozen depends on the epoch only, so a resumed run
    continues exactly.
    """

    def __init__(self, epoch: PositiveInt = 2, layers: PositiveInt | None = None) -> None:
        self.epoch, self.layers = epoch, layers
        self.freezing: Freezing | None = None
        self.frozen = 0  # layers at the start

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the optimizer have the frozen parameters, too."""
        if stage != "fit":
            return
        if not is_classifier(pl_module) or pl_module.freezing is None:
            raise SettingError("callbacks.unfreeze has no frozen layers: add model.freeze=backbone, or a number")
        if trainer.world_size > 1:
            raise SettingError("callbacks.unfreeze works in one process: use trainer.devices=1")
        pl_module.unfreezes = True
        self.freezing, self.frozen = pl_module.freezing, pl_module.freezing.count

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As at the start of an epoch, which Lightning leaves out for an epoch that is resumed in the middle."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze only the layers that are still frozen in this epoch."""
        if self.freezing is not None and self.freezing.count != (count := self.frozen_in(trainer.current_epoch + 1)):
            self.freezing.freeze(count)

    def frozen_in(self, epoch: int) -> int:
        """The number of frozen layers in an epoch, counted from 1."""
        if epoch < self.epoch:
            return self.frozen
        if self.layers is None:
            return 0
        return max(0, self.frozen - (epoch - self.epoch + 1) * self.layers)

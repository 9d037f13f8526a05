"""Early stopping, in the direction in which a metric improves."""

from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping

from labbook.config.schema import lower_is_better
from labbook.errors import SettingError, list_choices


class EarlyStopping(LightningEarlyStopping):
    """Lightning's early stopping; the direction follows from the metric's name: a loss falls, an accuracy rises."""

    name = "early_stopping"  # of its node in the configuration

    def __init__(
        self, monitor: str = "val/acc", patience: NonNegativeInt = 5, min_delta: NonNegativeFloat = 0.0
    ) -> None:
        self.settings: dict[str, Any] = {"monitor": monitor, "min_delta": min_delta, "patience": patience}
        super().__init__(**self.settings, mode="min" if lower_is_better(monitor) else "max")

    def take_direction(self, objective: str, falls: bool) -> None:
        """Use the direction of the run's objective, if that is the metric."""
        if self.monitor == objective:
            super().__init__(**self.settings, mode="min" if falls else "max")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor not in trainer.callback_metrics:
            raise SettingError(
                f"callbacks.{self.name}.monitor={self.monitor} is not a validation metric;"
                f" {list_choices(self.monitor, trainer.callback_metrics, 'logged are')}"
            )
        super().on_validation_end(trainer, pl_module)

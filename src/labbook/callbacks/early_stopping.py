"""Early stopping: the direction of a metric, why training stops, and whether a resumed run stays stopped."""

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from labbook.config import renames
from labbook.config.schema import lower_is_better
from labbook.errors import SettingError, list_choices
from labbook.training.checkpoint_io import CHECKPOINTS, epochs_done


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


LIGHTNING = "pytorch_lightning.callbacks."


def check_monitors(callbacks: list[Callback], scheduler: str, validated_on: str | None, remedy: str) -> None:
    """Refuse `callbacks` and a `scheduler` that follow a validation metric if there is no validation.

    `remedy` says how to get one.
    """
    stops = any(isinstance(item, LightningEarlyStopping) for item in callbacks)
    if not stops and not scheduler.startswith("val/"):
        return
    name = "callbacks=early_stopping" if stops else "scheduler=plateau"
    if validated_on == "test":
        raise SettingError(f"{name} would select by the test set: use data.validation=split")
    if validated_on is None:
        raise SettingError(f"{name} has no metric to watch: {remedy}")


def why_stopped(trainer: Trainer) -> str:
    """Why a training stops early; empty if it does not."""
    if not trainer.should_stop:
        return ""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, LightningEarlyStopping) and callback.stopping_reason_message:
            if callback.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED:
                return patience_message(callback.monitor, callback.wait_count, callback.best_score)
            return callback.stopping_reason_message.replace(" Signaling Trainer to stop.", "").rstrip(".")
        left = callback.time_remaining() if isinstance(callback, Timer) else None
        if left is not None and left <= 0:
            return "the time limit of the callback Timer was reached"
    return "a callback stopped it"


def patience_message(monitor: str, waited: int, best: Any) -> str:
    """That a metric had no better value than `best` in `waited` validations."""
    validations = "validation" if waited == 1 else f"{waited} validations"
    return f"{monitor} was not better than {float(best):.4f} in the last {validations}"


def restore_without_settings(checkpoint: Mapping[str, Any], callbacks: list[Callback]) -> None:
    """Give Lightning's callbacks their state from a checkpoint, but settings from the configuration.

    Lightning saves some settings, such as `patience`, in the state, and would restore them.
    """
    for callback in callbacks:
        owner = next(item for item in type(callback).__mro__ if "load_state_dict" in vars(item))
        state = checkpoint["callbacks"].get(callback.state_key)
        if isinstance(state, dict) and owner.__module__.startswith(LIGHTNING):
            settings = inspect.signature(owner).parameters.keys() & state.keys() & vars(callback).keys()
            state.update({name: vars(callback)[name] for name in settings})


def why_still_stopped(checkpoint: Mapping[str, Any], callbacks: list[Callback], now: Mapping[str, Any]) -> str:
    """Why a training is over at the epoch of a checkpoint; empty if it continues.

    It is over if it was stopped with the callback settings `now`, or if these leave no patience.
    """
    stopped = checkpoint["callbacks"][CHECKPOINTS].get("stopped")
    if checkpoint["epoch"] + 1 > epochs_done(checkpoint):  # within an epoch
        return ""
    if stopped is not None and renames.current({"callbacks": stopped["callbacks"]})["callbacks"] == now:
        return str(stopped["reason"])
    for callback in callbacks:
        if isinstance(callback, LightningEarlyStopping) and callback.state_key in checkpoint["callbacks"]:
            state = checkpoint["callbacks"][callback.state_key]
            if state["wait_count"] >= max(callback.patience, 1):
                return patience_message(callback.monitor, state["wait_count"], state["best_score"])
    return ""

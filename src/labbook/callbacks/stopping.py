"""Training that a callback ends early: why, and whether a resumed run stays ended."""

import inspect
from collections.abc import Mapping
from typing import Any

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from labbook.config import renames
from labbook.errors import SettingError
from labbook.training.checkpoint_io import CHECKPOINTS, epochs_done

LIGHTNING = "pytorch_lightning.callbacks."


def check_monitors(callbacks: list[Callback], scheduler: str, validated_on: str | None, remedy: str) -> None:
    """Refuse `callbacks` and a `scheduler` that follow a validation metric if there is no validation.

    `remedy` says how to get one.
    """
    following = ["callbacks=early_stopping"] if any(isinstance(item, EarlyStopping) for item in callbacks) else []
    following += ["scheduler=plateau"] if scheduler.startswith("val/") else []
    for name in following:
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
        if isinstance(callback, EarlyStopping) and callback.stopping_reason_message:
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
        if isinstance(callback, EarlyStopping) and callback.state_key in checkpoint["callbacks"]:
            state = checkpoint["callbacks"][callback.state_key]
            if state["wait_count"] >= max(callback.patience, 1):
                return patience_message(callback.monitor, state["wait_count"], state["best_score"])
    return ""

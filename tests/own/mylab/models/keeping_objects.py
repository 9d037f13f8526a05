"""A module that keeps what no checkpoint of tensors and plain data can hold."""

from pathlib import Path
from typing import Any

from mylab.models.regression import Regression


class KeepingObjects(Regression):
    def __init__(self, kept: str, features: int = 4, hidden: int = 16) -> None:
        super().__init__(features, hidden)
        self.kept = kept
        if kept == "in_hyper_parameters":
            self.save_hyperparameters({"folder": Path("here")})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.kept == "in_checkpoint":
            checkpoint["extra"] = [Path("here")]

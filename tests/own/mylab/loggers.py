"""Metrics as lines of JSON."""

import json
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger


class Lines(Logger):
    """Appends each row of metrics to a file in the run folder."""

    name, version = "lines", 0

    def __init__(self, save_dir: str, file: str = "lines.jsonl") -> None:
        super().__init__()
        self.path = Path(save_dir) / file

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass  # they are in config.yaml

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")

"""Everything in one file of lines."""

import json
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger


class Lines(Logger):
    """Appends each set of metrics as a line of JSON to a file in the run folder."""

    def __init__(self, save_dir: str, file: str = "lines.jsonl") -> None:
        super().__init__()
        self.file = Path(save_dir) / file

    @property
    def name(self) -> str:
        """Of the logger."""
        return "lines"

    @property
    def version(self) -> int:
        """There is one for each run."""
        return 0

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """They are in config.yaml."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a line."""
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"step": step, **metrics}) + "\n")

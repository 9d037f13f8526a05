"""TensorBoard without the files nobody reads, and pictures for whichever logger there is."""

import re
import threading
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import LightningModule
from pytorch_lightning.core.module import _jit_is_scripting
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from labbook.figures import Picture
from labbook.identity import INDIFFERENT
from labbook.models.classifier import Classifier
from labbook.zoo.probe import at_rest, blank, spared

EVENTS = re.compile(r"events\.out\.tfevents\.(\d+)\.")


class TensorBoard(TensorBoardLogger):
    """Event files directly in the run folder, without hparams.yaml: config.yaml says it all."""

    def __init__(self, save_dir: str, log_graph: bool = False) -> None:
        quiet_writer()
        super().__init__(save_dir, name="", version="", log_graph=log_graph, default_hp_metric=False)

    def purge(self, step: int) -> None:
        """Before anything is written: have readers forget what is there of this step and those after it.

        Readers take a run's event files in the order of their names, which tell no more than the second they were
        begun in: the new one waits for a second of its own (two at most, should another machine's clock be ahead).
        """
        begun = (int(found[1]) for path in Path(self.save_dir).iterdir() if (found := EVENTS.match(path.name)))
        time.sleep(min(max(max(begun, default=0) + 1 - time.time(), 0), 2))
        self._kwargs["purge_step"] = step

    @rank_zero_only
    def log_graph(self, model: LightningModule, input_array: Tensor | None = None) -> None:  # type: ignore[override]
        """Write the network's graph, if asked to: once a run, and not where torch cannot trace it."""
        if not self._log_graph or model.trainer.ckpt_path is not None:
            return
        self._log_graph = False  # Lightning calls this for every fit and test
        assert isinstance(model, Classifier)
        quiet = (redirect_stdout(None), catch_warnings(action="ignore"))  # torch calls its own tracing out of date
        with spared("graph of the network"), at_rest(model), _jit_is_scripting(), torch.no_grad(), quiet[0], quiet[1]:
            self.experiment.add_graph(model, blank(model))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars.

        Raises:
            OSError: they could not be written, which Lightning would take for values of a wrong kind.
        """
        try:
            super().log_metrics(metrics, step)
        except ValueError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise

    def save(self) -> None:
        """Flush the events."""
        self.experiment.flush()

    def finalize(self, status: str) -> None:
        """Flush the events; the file stays open for what comes after the fit, until `close`."""
        self.experiment.flush()

    def close(self) -> None:
        """End the event file and the thread that writes it, if it was ever begun."""
        if self._experiment is not None:
            self._experiment.close()


@cache
def quiet_writer() -> None:
    """Let the thread that writes events die without a traceback: whoever writes next is given its error."""
    hook = threading.excepthook

    def quiet(failed: threading.ExceptHookArgs) -> None:
        if not (isinstance(failed.exc_value, OSError) and type(failed.thread).__name__ == "_AsyncWriterThread"):
            hook(failed)

    threading.excepthook = quiet


def write_picture(loggers: list[Logger], tag: str, pixels: Picture, step: int, caption: str = "") -> None:
    """Give a picture to each logger that takes them."""
    for logger in loggers:
        experiment: Any = getattr(logger, "experiment", None)
        if isinstance(logger, TensorBoardLogger):
            experiment.add_image(tag, pixels, step, dataformats="HWC")
        elif hasattr(logger, "log_image"):  # Weights & Biases
            logger.log_image(tag, [pixels], step=step, caption=[caption or tag])
        elif hasattr(experiment, "log_image"):  # MLflow
            experiment.log_image(logger.version, pixels, f"{tag}.png")


def write_summary(loggers: list[Logger], config: DictConfig, metrics: Mapping[str, Any], step: int) -> None:
    """What a run was and came to: hyper-parameters with the final figures, and the configuration as text."""
    telling = {
        key: value
        for key, value in flat(config).items()
        if not key.startswith((*INDIFFERENT, "choices", "callbacks")) and "_" not in (key[0], key.rpartition(".")[2][0])
    }
    plain = {**config.choices, **telling}
    final = {f"final/{name}": value for name, value in metrics.items() if isinstance(value, float)}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(plain, final, step)
            text = OmegaConf.to_yaml(config, resolve=True).replace("\n", "\n    ")
            logger.experiment.add_text("configuration", f"    {text}", step)
        else:
            logger.log_hyperparams(plain)
            logger.log_metrics(dict(final))
        logger.save()  # before the run is said to be finished


def flat(config: DictConfig) -> dict[str, Any]:
    """A configuration as one level of dotted names; lists as text."""
    found: dict[str, Any] = {}

    def visit(node: Any, prefix: str) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                visit(value, f"{prefix}{key}.")
            elif value is not None:
                found[f"{prefix}{key}"] = value if isinstance(value, (bool, int, float, str)) else str(value)

    visit(OmegaConf.to_container(config, resolve=True), "")
    return found

"""TensorBoard with comparable runs, and images for any logger."""

import re
import textwrap
import time
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import LightningModule
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from labbook.config.unknown_keys import flatten
from labbook.files import replace_file
from labbook.plots.contact_sheet import Picture
from labbook.runs.provenance import typed_command
from labbook.runs.run_id import IGNORED_KEYS
from labbook.training import capabilities
from labbook.training.epoch_rows import OTHER_COLUMNS
from labbook.training.lightning_internals import opened_writer, without_trainer
from labbook.training.probe import dummy_input, eval_mode, log_exceptions
from labbook.training.tensorboard_internals import silence_writer_thread, without_tensorflow
from labbook.training.trackers import log_settings

EVENTS_BEGIN = "events.out.tfevents."
EVENTS = re.compile(r"events\.out\.tfevents\.(\d+)\.")
# Charts of the page CUSTOM SCALARS, and the tags of their curves.
CHARTS = {"accuracy": ["Multiline", ["^acc/(train|val)$"]], "loss": ["Multiline", ["^loss/(train|val)$"]]}


class TensorBoard(TensorBoardLogger):
    """Event files directly in the run folder, without hparams.yaml: config.yaml has all settings."""

    def __init__(self, save_dir: str, log_graph: bool = False) -> None:
        silence_writer_thread()
        without_tensorflow()
        super().__init__(save_dir, name="", version="", default_hp_metric=False)
        self.draws_graph = log_graph

    @rank_zero_only
    def purge(self, step: int) -> None:
        """Make readers drop what is there of this step and later ones; call it before anything else is written.

        Readers sort a run's event files by name, which has the second of their creation. Files of this second, or of a
        clock that was ahead, are renamed to earlier seconds.
        """
        files = sorted(path for path in Path(self.save_dir).iterdir() if EVENTS.match(path.name))
        before = int(time.time()) - len(files)
        for second, path in enumerate(files, before):
            begun, _, rest = path.name.removeprefix(EVENTS_BEGIN).partition(".")
            if int(begun) > second:
                replace_file(path, path.with_name(f"{EVENTS_BEGIN}{second:010d}.{rest}"))
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # runs without TensorBoard need not import it

        # As torch's own writer does with `purge_step`, which its constructor would need.
        self.experiment.file_writer.add_event(Event(step=step, session_log=SessionLog(status=SessionLog.START)))

    @rank_zero_only
    def log_graph(self, model: LightningModule, input_array: Tensor | None = None) -> None:  # type: ignore[override]
        """Write the network's graph, if asked to: once per run, and only if torch can trace it."""
        if not self.draws_graph or model.trainer.ckpt_path is not None:
            return
        self.draws_graph = False  # Lightning calls this for every fit and test
        if not capabilities.maps_images(model):
            return
        with ExitStack() as quiet, log_exceptions("graph of the network"), eval_mode(model), torch.no_grad():
            quiet.enter_context(redirect_stdout(None))
            quiet.enter_context(catch_warnings(action="ignore"))  # torch calls its own tracing deprecated
            quiet.enter_context(without_trainer())
            self.experiment.add_graph(model, dummy_input(model))

    @rank_zero_only
    def introduce(self, config: DictConfig, step: int) -> None:
        """Log the command, all settings, and the layout of the charts when a training starts or resumes."""
        written = OmegaConf.to_yaml(config, resolve=True)
        for name, text in (("command", typed_command()), ("configuration", written)):
            self.experiment.add_text(name, textwrap.indent(text, "    ", lambda _: True), step)
        self.experiment.add_custom_scalars({"training and validation": CHARTS})

    @rank_zero_only
    def log_hyperparams(  # type: ignore[override]
        self, params: Mapping[str, Any], metrics: Mapping[str, Any] | None = None, step: int | None = None
    ) -> None:
        """Write a run's settings for the page HPARAMS, whose metrics are the last values of all scalars.

        The list of settings that torch writes is left out. For several runs TensorBoard uses the list of one run for
        all, and does not show settings that only other runs have.
        """
        if metrics is None:  # Lightning's own call, before there are metrics
            return
        from torch.utils.tensorboard.summary import hparams  # runs without TensorBoard need not import it

        self.log_metrics(metrics, step)
        plain = {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}
        _, begun, ended = hparams(plain, {})  # type: ignore[no-untyped-call]
        for each in (begun, ended):
            self.experiment.file_writer.add_summary(each, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars.

        Raises:
            OSError: they cannot be written; Lightning would report values of a wrong type.
        """
        try:
            super().log_metrics({tensorboard_tag(name): value for name, value in metrics.items()}, step)
        except ValueError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise

    def save(self) -> None:
        self.experiment.flush()

    def finalize(self, status: str) -> None:
        """Flush the events; the file stays open for what follows the fit, until `close`."""
        self.experiment.flush()

    def close(self) -> None:
        if (writer := opened_writer(self)) is not None:
            writer.close()


def tensorboard_tag(name: str) -> str:
    """A metric's tag: the quantity first, so that TensorBoard shows training, validation and test side by side.

    The table of the page HPARAMS has the first five metrics by name: accuracy and loss, of the tested weights, too.
    """
    part, _, figure = name.partition("/")
    if part in ("train", "val", "test"):
        return f"{figure}/{part}"
    return f"progress/{name}" if name in OTHER_COLUMNS else name


def write_picture(loggers: list[Logger], name: str, pixels: Picture, step: int) -> None:
    for logger in loggers:
        experiment: Any = getattr(logger, "experiment", None)
        if isinstance(logger, TensorBoardLogger):
            experiment.add_image(name, pixels, step, dataformats="HWC")
        elif hasattr(logger, "log_image"):  # Weights & Biases
            logger.log_image(name, [pixels], step=step, caption=[name.replace("_", " ")])
        elif hasattr(experiment, "log_image"):  # MLflow
            experiment.log_image(logger.version, pixels, f"{name}.png")


def write_summary(loggers: list[Logger], config: DictConfig, metrics: Mapping[str, Any], step: int) -> None:
    left_out = (*IGNORED_KEYS, "config_groups", "callbacks", "_")
    plain: Any = OmegaConf.to_container(config, resolve=True)
    telling = {
        key: value if isinstance(value, (bool, int, float, str)) else str(value)
        for key, value in flatten(plain).items()
        if value is not None and not key.startswith(left_out) and not key.rpartition(".")[2].startswith("_")
    }
    for logger in loggers:
        if isinstance(logger, TensorBoard):
            # TensorBoard sorts settings by name, those that differ first, and capitals before other letters.
            choices = {name.capitalize(): value for name, value in config.config_groups.items()}
            tested = {key: value for key, value in metrics.items() if key.startswith(("test/", "objective"))}
            numbers = {key: value for key, value in tested.items() if isinstance(value, float)}
            logger.log_hyperparams({**choices, **telling}, numbers, step)
        else:
            log_settings(logger, {**config.config_groups, **telling})
            logger.log_metrics({f"final/{name}": value for name, value in metrics.items() if isinstance(value, float)})
        logger.save()  # before the run is recorded as finished

"""Train a run: its notes, its preparation and its errors."""

import logging
import signal

import torch
from pytorch_lightning import LightningDataModule, LightningModule, Trainer

from labbook.callbacks.epoch_end import epoch_end_of
from labbook.callbacks.unused_settings import unused_settings
from labbook.errors import SettingError, StoppedBySignal, TrainingError
from labbook.experiment import model_settings
from labbook.loggers import TensorBoard
from labbook.models.weights import load_weights_from
from labbook.runs.run_folder import RunFolder
from labbook.runs.run_session import RunSession
from labbook.trainer import filter_lightning_warnings
from labbook.training import capabilities, checkpoint_io, fast_lightning, objectives, own_modules
from labbook.training.lightning_internals import death_among_others
from labbook.training.processes import any_rank

log = logging.getLogger("labbook")


def fit_model(
    trainer: Trainer,
    model: LightningModule,
    data: LightningDataModule,
    run: RunSession,
    channels_last: bool,
    compiled: bool,
) -> None:
    """Train, from the run's last checkpoint if there is one.

    Raises:
        TrainingError: the loss is no longer finite, or a process of the run died.
        StoppedBySignal: a signal came; the state was saved first.
    """
    for note in unused_settings(run.folder.config, model):
        log.warning("note: %s", note)
    if mode := objectives.objective_mode_of(run.folder.config, model):
        log.info("%s", mode)
    own_modules.adapt_batches(model, data)
    load_initial_weights(model, run.folder)
    apply_channels_last(model, data, channels_last)
    if compiled and capabilities.has_forward(model):
        model.compile()
    start_loggers(trainer, run.folder, resume_step(model, run.folder))
    with run.signals.deferred(), fast_lightning.without_unused_hooks(trainer, model), filter_lightning_warnings():
        fit_from_state(trainer, model, data, run.folder)
    if stopped := epoch_end_of(trainer).checkpoints.stopped_early(trainer, run.folder.config.epochs):
        log.info("stopped early %s", stopped)
    if any_rank(trainer, run.signals.received is not None):  # after the last step
        raise StoppedBySignal(run.signals.received or signal.SIGTERM)


def load_initial_weights(model: LightningModule, run: RunFolder) -> None:
    """Load `model.weights`, unless a checkpoint restores others, and record what was loaded."""
    if run.state is None and (source := model_settings(run.config)[1].get("weights")) is not None:
        loaded = load_weights_from(model, str(source))
        log.info("%s", loaded)
        run.record({"initial_weights": loaded.as_data()}, "running")


def apply_channels_last(model: LightningModule, data: LightningDataModule, channels_last: bool) -> None:
    """Use channels-last memory for weights and images, if the network has convolutions."""
    if channels_last and capabilities.takes_channels_last(model):
        model.to(memory_format=torch.channels_last)
        if capabilities.is_image_data(data):
            data.memory_format = torch.channels_last


def resume_step(model: LightningModule, run: RunFolder) -> int:
    """The step at which the run resumes, which is printed; 0 for a new run."""
    if run.state is None:
        if run.resumes:
            log.warning("this run has no checkpoint: starting from the beginning")
        return 0
    epoch, step, done = checkpoint_io.resume_position(model, run.state)
    epochs = run.config.epochs
    log.info("resuming from epoch %d, step %d: %d epochs in total (%d more)", epoch, step, epochs, epochs - done)
    return step


def start_loggers(trainer: Trainer, run: RunFolder, step: int) -> None:
    """Cut TensorBoard's curves at the step, and log the run's settings."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoard):
            if run.resumes:
                logger.purge(step)
            logger.introduce(run.config, step)


def fit_from_state(trainer: Trainer, model: LightningModule, data: LightningDataModule, run: RunFolder) -> None:
    """Lightning's fit, with sentences for torch's errors that a setting or another process caused.

    Raises:
        TrainingError: a process of the run died.
    """
    try:
        trainer.fit(model, datamodule=data, ckpt_path=run.state, weights_only=True if run.state else None)
    except ValueError as error:
        if not str(error).startswith("Expected more than 1 value per channel when training"):
            raise
        size = run.config.data.get("batch_size")
        raise SettingError(
            f"data.batch_size={size} leaves a batch of one image, which batch normalisation cannot use:"
            " use data.drop_last=true or another batch size"
        ) from error
    except RuntimeError as error:
        if isinstance(error, TrainingError) or not (death := death_among_others(trainer)):
            raise
        raise TrainingError(f"{death}{run.resume_hint()}") from error

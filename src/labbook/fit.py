"""Train a run: its objects, its preparation and its errors. And train a few steps without a run."""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import NamedTuple

import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer

from labbook import experiment
from labbook.callbacks.epoch_end import epoch_end_of
from labbook.callbacks.lr_range_test import LearningRateRangeTest
from labbook.callbacks.unused_settings import unused_settings
from labbook.config.invocation import for_caller
from labbook.errors import SettingError, TrainingError
from labbook.loggers import TensorBoard
from labbook.models.weights import LoadedWeights, load_weights_from
from labbook.runs.run_folder import RunFolder
from labbook.runs.run_session import RunSession, resumed_folder
from labbook.signals import StopSignals
from labbook.trainer import build_evaluation_metrics, detached_trainer, filter_lightning_warnings
from labbook.training import (
    batch_size,
    capabilities,
    checkpoint_io,
    fast_lightning,
    hardware,
    objectives,
    own_modules,
    threads,
)
from labbook.training.hardware import DeviceChoice
from labbook.training.lightning_internals import death_among_others

log = logging.getLogger("labbook")


class Prepared(NamedTuple):
    """The objects of a configuration that is checked."""

    data: LightningDataModule
    model: LightningModule
    choice: DeviceChoice
    loaded: LoadedWeights | None  # from `model.weights`


def prepare(config: DictConfig, load: bool = True) -> Prepared:
    """Check a configuration, create its objects and read its files; nothing is written but `config`.

    Without `load`, the network keeps its random weights.
    """
    experiment.check_experiment(config)
    hardware.check_threads(config.threads)
    if config.data.get("batch_size") == batch_size.AUTO:
        set_batch_size(config)
    resumed = resumed_folder(config)
    data = experiment.build_new_data(config, resumed)
    model = experiment.build_model(config, capabilities.spec_of_data(data))
    build_evaluation_metrics(config, model)  # refuses metrics that do not fit these classes
    choice = hardware.choose_for_run(config, model)
    hardware.check_devices(config.trainer, choice.accelerator, hardware.describe_machine())
    source = experiment.settings_of_any_model(config).get("weights") if load and not resumed else None
    loaded = None if source is None else load_weights_from(model, str(source))
    experiment.set_up_data(data)
    return Prepared(data, model, choice, loaded)


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
        log.warning("note: %s", for_caller(note))
    if mode := objectives.objective_mode_of(run.folder.config, model):
        log.info("%s", mode)
    adapt_model(model, data, channels_last, compiled)
    start_loggers(trainer, run.folder, resume_step(model, run.folder))
    with run.signals.deferred(), fast_lightning.without_unused_hooks(trainer, model), filter_lightning_warnings():
        fit_from_state(trainer, model, data, run.folder)
    checkpoints = epoch_end_of(trainer).checkpoints
    if stopped := checkpoints.stopped_early(trainer, run.folder.config.epochs):
        log.info("stopped early %s", stopped)
    checkpoints.stop_if_signalled(trainer)  # after the last step


def adapt_model(model: LightningModule, data: LightningDataModule, channels_last: bool, compiled: bool) -> None:
    own_modules.adapt_batches(model, data)
    apply_channels_last(model, data, channels_last)
    if compiled and capabilities.has_forward(model):
        model.compile()


def apply_channels_last(model: LightningModule, data: LightningDataModule, channels_last: bool) -> None:
    """Use channels-last memory for weights and images, if the network has convolutions."""
    if channels_last and capabilities.takes_channels_last(model):
        model.to(memory_format=torch.channels_last)
        if capabilities.is_image_data(data):
            data.memory_format = torch.channels_last


def resume_step(model: LightningModule, run: RunFolder) -> int:
    """The step at which the run resumes, which is printed; 0 for a new run."""
    if run.state is not None:
        at, epochs = checkpoint_io.resume_position(model, run.state), run.config.epochs
        more = f"{epochs} epochs in total ({epochs - at.done} more)"
        log.info("resuming from epoch %d, step %d: %s", at.epoch, at.step, more)
        return at.step
    if run.resumes:
        log.warning("this run has no checkpoint: starting from the beginning")
    return 0


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
        with explain_single_image(run.config):
            trainer.fit(model, datamodule=data, ckpt_path=run.state, weights_only=True if run.state else None)
    except RuntimeError as error:
        if isinstance(error, TrainingError) or not (death := death_among_others(trainer)):
            raise
        raise TrainingError(f"{death}{run.resume_hint()}") from error


@contextmanager
def explain_single_image(config: DictConfig) -> Iterator[None]:
    """Within this context, torch's error for batch normalisation of one image is a sentence."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("Expected more than 1 value per channel when training"):
            raise
        size = config.data.get("batch_size")
        raise SettingError(
            f"data.batch_size={size} leaves a batch of one image, which batch normalisation cannot use:"
            " use data.drop_last=true or another batch size"
        ) from error


# Without a run ------------------------------------------------------------------------------------------------------


def fit_steps(config: DictConfig, made: Prepared, steps: int, *callbacks: Callback) -> Trainer:
    """Train for some optimizer steps on one device, without validation; nothing is written.

    Raises:
        TrainingError: the loss is no longer finite.
        StoppedBySignal: a signal came.
    """
    adapt_model(made.model, made.data, made.choice.channels_last, config.compile)
    endless = {"max_epochs": -1, "min_epochs": None, "limit_val_batches": 0, "profiler": None}
    trainer = detached_trainer(config, made.choice, callbacks=list(callbacks), max_steps=steps, **endless)
    quiet = fast_lightning.without_unused_hooks(trainer, made.model)
    computing = threads.computing_with(threads.number_of_threads(config, made.choice))
    with StopSignals(), computing, explain_single_image(config), quiet, filter_lightning_warnings():
        trainer.fit(made.model, datamodule=made.data)
    return trainer


def set_batch_size(config: DictConfig) -> None:
    """Replace `data.batch_size=auto` by a number, and print why it is this one."""
    devices, nodes = config.trainer.get("devices", "auto"), config.trainer.get("num_nodes")
    if hardware.device_count(devices, str(config.trainer.get("accelerator") or "auto")) != 1 or nodes not in (None, 1):
        raise SettingError("data.batch_size=auto tries one device: use trainer.devices=1, or data.batch_size=N")
    (first, second), memory = batch_size.TRIED, [batch_size.StepMemory() for _ in batch_size.TRIED]
    try:
        made = try_batch_size(config, first, memory[0])
    except torch.OutOfMemoryError as error:
        raise SettingError(batch_size.NOTHING_FITS) from error
    most = batch_size.most_images(memory[0].images, config.trainer.get("accumulate_grad_batches") or 1)
    enough = f"the largest power of two with {batch_size.STEPS} or more steps per epoch"
    if made.choice.accelerator == "gpu":
        size, full = batch_size.largest_without_error(lambda size: try_batch_size(config, size), first, most)
        why = f"{2 * size} does not fit into the memory of the GPU" if full else enough
    else:
        try_batch_size(config, second, memory[1])
        per_image = (memory[1].total - memory[0].total) / (second - first)
        room = batch_size.images_in_memory(made.model, per_image)
        size, budget = min(most, batch_size.power_of_two(room)), f"{batch_size.memory_share() / 2**30:.1f} GiB"
        needed = f"{enough}; {size * batch_size.GRADIENTS * per_image / 2**30:.2f} of {budget}"
        why = needed if size == most else f"the largest power of two that fits into {budget}, half of the memory"
    free_memory()
    config.data.batch_size = size
    print(f"batch size: {size} ({why})", flush=True)


def try_batch_size(config: DictConfig, size: int, memory: batch_size.StepMemory | None = None) -> Prepared:
    free_memory()
    tried = config.copy()
    tried.data.batch_size, tried.compile, tried.scheduler = size, False, None
    made, memory = prepare(tried, load=False), memory or batch_size.StepMemory()
    on_gpu = made.choice.accelerator == "gpu"
    with nullcontext() if on_gpu else memory.hooks():
        fit_steps(tried, made, 2 if on_gpu else 1, memory)
    return made


def free_memory() -> None:
    gc.collect()
    torch.cuda.empty_cache()


def run_range_test(config: DictConfig, test: LearningRateRangeTest) -> LoadedWeights | None:
    """Run a learning rate range test of a configuration, which starts like a run of it; returns its initial weights."""
    config.scheduler = None
    made = prepare(config)
    with suppress(TrainingError):  # the loss diverged, which ends the test
        fit_steps(config, made, len(test.rates), test)
    return made.loaded

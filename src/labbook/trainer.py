"""The Trainer of a run: callbacks, loggers and device."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.loggers import Logger

from labbook.callbacks import EarlyStopping
from labbook.callbacks.busy_machine import BusyMachine
from labbook.callbacks.checkpoints import RunCheckpoints
from labbook.callbacks.diagnostics import TrainingDiagnostics
from labbook.callbacks.early_stopping import check_monitors
from labbook.callbacks.epoch_end import EpochEnd
from labbook.callbacks.epoch_recorder import EpochRecorder
from labbook.callbacks.evaluation_metrics import EvaluationMetrics
from labbook.config import instantiate
from labbook.config.schema import lower_is_better
from labbook.errors import SettingError, missing_package_message
from labbook.installation import EXTRAS
from labbook.loggers import TensorBoard
from labbook.runs.run_folder import CHECKPOINTS, TABLE
from labbook.runs.run_id import result_callbacks
from labbook.runs.run_session import RunSession
from labbook.training import capabilities, fast_lightning, metric_building, objectives, trackers
from labbook.training.checkpoint_io import AtomicCheckpointIO
from labbook.training.hardware import DeviceChoice, parse_devices
from labbook.training.lightning_internals import disable_signal_handlers, end_other_processes, report_deaths

# Lightning's messages go to train.log, to which a run adds its handler, not to the terminal.
for _name in ("pytorch_lightning", "lightning_fabric"):
    logging.getLogger(_name).handlers.clear()
    logging.getLogger(_name).propagate = False

UNWARNED = (
    ".*smaller than the logging interval",  # metrics of single steps only
    "Be aware that when using `ckpt_path`",  # callbacks may be left out
    r"Found \d+ module\(s\) in eval mode",  # of a frozen backbone
    ".*but have no `(val_dataloader|validation_step)`",
    ".*from an ambiguous collection",  # a `Batch`, whose first tensor has the right size
    ".*does not have many workers",
)


def build_trainer(
    config: DictConfig, choice: DeviceChoice, run: RunSession, model: LightningModule, data: LightningDataModule
) -> Trainer:
    """A Lightning Trainer that writes to the run folder only."""
    options: dict[str, Any] = {} if capabilities.is_validated(model, data) else {"limit_val_batches": 0}
    trainer = make_quiet_trainer(
        config,
        choice,
        max_epochs=config.epochs,
        callbacks=[
            *build_callbacks(config, run, model, data),
            *([BusyMachine()] if choice.accelerator == "cpu" else []),
        ],
        logger=build_loggers(config, run),
        # Processes are started by Lightning or by torchrun, whatever Slurm says about its tasks.
        plugins=[AtomicCheckpointIO(), *([] if "TORCHELASTIC_RUN_ID" in os.environ else [LightningEnvironment()])],
        default_root_dir=str(run.folder.path),
        **options,
    )
    run.closing.enter_context(report_deaths(trainer, run.folder.resume_hint()))
    run.closing.push(lambda kind, *_: end_other_processes(trainer) if kind is not None else None)
    return trainer


def build_evaluation_metrics(config: DictConfig, model: LightningModule) -> list[Callback]:
    """The callback for the group `metrics`, if it has any metrics for this model."""
    metrics = metric_building.build_metrics(config.metrics or {}, model)
    return [EvaluationMetrics(metrics)] if metrics else []


def build_callbacks(
    config: DictConfig, run: RunSession, model: LightningModule, data: LightningDataModule
) -> list[Callback]:
    """The callbacks of the configuration, and those that record the run."""
    validated, on_test = capabilities.is_validated(model, data), capabilities.validates_on_test(data)
    objective = objectives.effective_objective(config.objective, model, data)
    falls = lower_is_better(config.objective, config.objective_mode)
    chosen: dict[str, Callback] = instantiate.build_object(config.callbacks, "callbacks")
    callbacks: list[Callback] = [*build_evaluation_metrics(config, model), *chosen.values()]
    monitored = str((config.scheduler or {}).get("monitor", ""))
    validated_on = ("test" if on_test else "val") if validated else None
    check_monitors(callbacks, monitored, validated_on, capabilities.how_to_validate(model, data))
    for name, callback in chosen.items():
        if isinstance(callback, EarlyStopping):
            callback.name = name
            callback.take_direction(config.objective, falls)
    settings: Any = OmegaConf.to_container(config.callbacks or OmegaConf.create(), resolve=True)
    checkpoints = RunCheckpoints(
        run.folder.path / CHECKPOINTS,
        run.signals,
        objective=objective,
        falls=falls,
        select=validated and config.test_checkpoint == "best" and not on_test,
        every_minutes=config.checkpoint.every_minutes,
        deciding=result_callbacks(settings),
    )
    diagnostics = None
    if capabilities.is_classifier(model) and capabilities.is_image_data(data):
        diagnostics = TrainingDiagnostics(data)
    pruning = None
    if config.sweep.job.trial is not None and config.sweep.prune and not (config.folds or config.seeds > 1):
        from labbook.callbacks.pruning import OptunaPruning  # only a search has Optuna

        pruning = OptunaPruning(run.folder, config.sweep.job.trial, objective)
    return [*callbacks, EpochEnd(EpochRecorder(run.folder.path / TABLE), checkpoints, diagnostics, pruning)]


@contextmanager
def filter_lightning_warnings() -> Iterator[None]:
    """Within this context, Lightning does not warn of what is intended or is printed by the run itself."""
    with warnings.catch_warnings():
        for message in UNWARNED:
            warnings.filterwarnings("ignore", message=message)
        yield


def configure_backends(config: DictConfig, choice: DeviceChoice) -> None:
    """Make torch as fast as possible, or deterministic if asked to."""
    deterministic = config.trainer.get("deterministic", False)
    torch.set_float32_matmul_precision("highest" if deterministic else "high")  # "high" is TF32 where available
    torch.backends.cudnn.benchmark = not deterministic
    if choice.accelerator == "cpu" and config.reuse_freed_memory:
        fast_lightning.reuse_freed_memory()


def make_quiet_trainer(config: DictConfig, choice: DeviceChoice, **options: Any) -> Trainer:
    """A Lightning Trainer on the chosen device that prints and writes nothing by itself."""
    configure_backends(config, choice)
    trainer = instantiate.build_object(
        config.trainer,
        "trainer",
        accelerator=choice.accelerator,
        precision=choice.precision,
        benchmark=torch.backends.cudnn.benchmark,  # otherwise Lightning sets it
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    assert isinstance(trainer, Trainer)
    disable_signal_handlers(trainer)
    return trainer


def test_trainer(config: DictConfig, choice: DeviceChoice, model: LightningModule, *callbacks: Callback) -> Trainer:
    return detached_trainer(config, choice, callbacks=[*build_evaluation_metrics(config, model), *callbacks])


def detached_trainer(config: DictConfig, choice: DeviceChoice, **options: Any) -> Trainer:
    """A Trainer of no run: it writes nothing, and works on the first device of the configuration."""
    here = LightningEnvironment()  # whatever Slurm says about its tasks
    nothing = {"logger": False, "enable_checkpointing": False, "plugins": [here]}
    return make_quiet_trainer(config, choice, **nothing, **single_process_settings(config.trainer, choice), **options)


def single_process_settings(trainer: Mapping[str, Any], choice: DeviceChoice) -> dict[str, Any]:
    """Settings for a test on one device, the trainer's first: several processes would each see a part of the images."""
    asked = parse_devices(trainer.get("devices", "auto"))
    first: int | list[int] = 1
    if isinstance(asked, list) and choice.accelerator == "gpu" and asked[0] < torch.cuda.device_count():
        first = asked[:1]
    return {"devices": first, "num_nodes": 1, "strategy": "auto"}


def build_loggers(config: DictConfig, run: RunSession) -> list[Logger]:
    single = "_target_" in (config.logger or {})
    nodes = {config.config_groups.get("logger"): config.logger} if single else config.logger or {}
    return [build_logger(node, str(name), run) for name, node in nodes.items() if node]


def build_logger(node: DictConfig, name: str, run: RunSession) -> Logger:
    try:
        options = trackers.tracker_options(instantiate.resolve_target(node._target_, "logger"), node, run.folder)
        logger: Logger = instantiate.build_object(node, "logger", save_dir=str(run.folder.path), **options)
    except (ImportError, ModuleNotFoundError) as error:
        package = (isinstance(error, ModuleNotFoundError) and error.name) or name
        raise SettingError(missing_package_message(f"logger={name}", name if name in EXTRAS else package)) from error
    if isinstance(logger, TensorBoard):
        run.closing.callback(logger.close)
    trackers.connect_tracker(logger, node, run)
    return logger

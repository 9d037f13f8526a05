"""From objects to results: the trainer, the fit and the test. Knows no configuration beyond the trainer's own."""

import logging
import warnings
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import Logger

from labbook import building, checkpoints
from labbook.checkpoints import Checkpoints, WholeFileIO
from labbook.data.module import ImageDataModule, Split
from labbook.errors import SettingError
from labbook.hardware import Choice
from labbook.loggers import TensorBoard, write_summary
from labbook.models.classifier import Classifier, Outcome, Task
from labbook.recorder import Recorder
from labbook.runs import Run

log = logging.getLogger("labbook")

# Lightning 2.6 asks torch 2.15 a question in an old-fashioned way, once for every kind of batch.
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*", category=FutureWarning)

# What the program itself gives to each group's target, so a configuration need not.
SUPPLIED: dict[str, dict[str, Any]] = {
    "data": {"seed": None},
    "model": {"spec": None, "task": None},
    "trainer": {"precision": None, "accelerator": None},
    "logger": {"save_dir": None},
}


def check(config: DictConfig) -> None:
    """Hold every `_target_` against the signature it names, before data or device is touched.

    Raises:
        SettingError: see `building.check`.
    """
    for group in ("model", "data", "optimizer", "scheduler", "trainer", "logger", "callbacks"):
        building.check(config[group], group, SUPPLIED.get(group))


def build_data(config: DictConfig) -> ImageDataModule:
    """The data module that a configuration describes.

    Raises:
        SettingError: settings that do not go together, or folders that are not there.
    """
    data = building.build(config.data, seed=config.seed)
    assert isinstance(data, ImageDataModule)
    return data


def build_model(config: DictConfig, data: ImageDataModule) -> Classifier:
    """The network that a configuration describes, for the images of `data`; its weights are drawn from the seed.

    Raises:
        SettingError: a network that these images do not fit.
    """
    seed_everything(config.seed, verbose=False)
    task = Task(building.build(config.optimizer), building.build(config.scheduler) or None, config.task.label_smoothing)
    model = building.build(config.model, spec=data.spec, task=task)
    assert isinstance(model, Classifier)
    return model


def build_trainer(config: DictConfig, choice: Choice, run: Run, data: ImageDataModule) -> Trainer:
    """A Lightning Trainer that keeps everything in the run's folder.

    Raises:
        SettingError: early stopping without anything to watch, or a logger that is not installed.
    """
    validated = len(data.rows["val"]) > 0
    select = validated and config.test_on == "best" and data.validate_on == "val"
    callbacks: list[Callback] = list(building.build(config.callbacks).values())
    for callback in callbacks:
        if isinstance(callback, EarlyStopping) and data.validate_on == "test":
            raise SettingError("callbacks=early_stopping would choose by the test set: use data.validate_on=val")
        if isinstance(callback, EarlyStopping) and not validated:
            raise SettingError("callbacks=early_stopping has nothing to watch: give data.val_fraction above 0")
    callbacks += [
        Recorder(run.path / "metrics.csv"),
        Checkpoints(run.path / "checkpoints", config.objective, select, config.checkpoint.every_minutes, run.signals),
    ]
    deterministic = config.trainer.deterministic
    torch.set_float32_matmul_precision("highest" if deterministic else "high")  # "high" is TF32 where there is any
    batches = -(-len(data.rows["train"]) // data.batch_size)
    return building.build(  # type: ignore[no-any-return]
        config.trainer,
        accelerator=choice.accelerator,
        precision=choice.precision,
        max_epochs=config.epochs,
        callbacks=callbacks,
        logger=build_logger(config, run),
        plugins=[WholeFileIO()],
        default_root_dir=str(run.path),
        benchmark=not deterministic,
        log_every_n_steps=max(1, min(50, batches)),
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def build_logger(config: DictConfig, run: Run) -> Logger | bool:
    """The logger, writing into the run's folder; False where there is none."""
    if not config.logger:
        return False
    options: dict[str, Any] = {"save_dir": str(run.path)}
    if config.logger._target_.endswith(TensorBoard.__name__) and config.resume and run.last_checkpoint:
        options["purge_step"] = checkpoints.load(run.last_checkpoint)["global_step"] + 1
    try:
        logger: Logger = building.build(config.logger, **options)
    except (ImportError, ModuleNotFoundError) as error:
        extra = config.choices.get("logger")
        raise SettingError(
            f"logger={extra} is not installed: make setup EXTRAS={extra}, or pip install {extra}"
        ) from error
    if isinstance(logger, TensorBoard):
        run.closing.callback(logger.close)
    return logger


def fit(trainer: Trainer, model: Classifier, data: ImageDataModule, run: Run, layout: bool, compiled: bool) -> None:
    """Train, from the run's last checkpoint if there is one; `layout`: channels-last.

    Raises:
        TrainingError: the loss is no longer finite.
        Interrupted: a signal came; the state was saved first.
    """
    if layout and model.convolutional:
        model.to(memory_format=torch.channels_last)
        data.memory_format = torch.channels_last
    if compiled:
        model.compile()
    last = run.last_checkpoint
    if last is not None:
        checkpoints.check_fits(model, checkpoints.load(last)["state_dict"], last)
    with run.signals.deferred(), warnings.catch_warnings():
        # Lightning speaks of checkpoints that were there before and of loaders that are no DataLoader.
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*exists and is not empty.*")
        trainer.fit(model, datamodule=data, ckpt_path=last, weights_only=True if last else None)
    run.signals.raise_received()


def test(trainer: Trainer, model: Classifier, data: ImageDataModule, split: Split) -> Outcome:
    """Evaluate the network as it is on one part of the data."""
    data.test_split = split
    trainer.test(model, datamodule=data, verbose=False)
    assert model.outcome is not None
    return model.outcome


def evaluate(trainer: Trainer, model: Classifier, data: ImageDataModule, config: DictConfig) -> dict[str, Any]:
    """Test the best or last weights and gather the run's final figures."""
    recorder = next(item for item in trainer.callbacks if isinstance(item, Recorder))  # type: ignore[attr-defined]
    saved = next(item for item in trainer.callbacks if isinstance(item, Checkpoints))  # type: ignore[attr-defined]
    tested_epoch = trainer.current_epoch
    if saved.select and saved.best_epoch is not None:
        tested_epoch = checkpoints.load_weights(model, saved.best_path)
    outcome = test(trainer, model, data, "test")
    row = recorder.rows[tested_epoch - 1]
    metrics: dict[str, Any] = {name: value for name, value in row.items() if name.startswith(("train/", "val/"))}
    metrics |= {"test/loss": outcome.figures.loss, "test/acc": outcome.figures.acc}
    if config.train_acc_eval:
        metrics["train/acc_eval"] = test(trainer, model, data, "train").figures.acc
    metrics |= {
        "train_seconds": recorder.seconds,
        "images_per_second": recorder.images_per_second,
        "epochs": trainer.current_epoch,
        "tested_epoch": tested_epoch,
        "parameters": model.num_parameters,
        "device": str(trainer.strategy.root_device),
        "precision": str(trainer.precision),
        "class_names": list(data.spec.class_names),
        "test/confusion_matrix": outcome.confusion.tolist(),
    }
    write_summary(trainer.loggers, config, metrics)
    return metrics


def objective(metrics: dict[str, Any], name: str) -> float:
    """The figure that a sweep compares runs by; the training's own where nothing was held out."""
    value = metrics.get(name, metrics.get(name.replace("val/", "train/")))
    if value is None:
        known = ", ".join(key for key, item in metrics.items() if isinstance(item, float))
        raise SettingError(f"objective={name} is no figure of this run; choices: {known}")
    return float(value)

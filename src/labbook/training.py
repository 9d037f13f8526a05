"""From a configuration to objects, and the fit."""

import logging
import os
import signal
import warnings
from dataclasses import fields
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from labbook import building, checkpoints, hardware, losses, metric_building, overhead, trackers
from labbook.checkpoints import WholeFileIO
from labbook.config import held_out
from labbook.data.module import ImageDataModule, Part
from labbook.data.spec import ImageSpec
from labbook.errors import EXTRAS, Interrupted, SettingError, not_installed
from labbook.evaluation_metrics import EvaluationMetrics
from labbook.gradients import GradientNorms
from labbook.hardware import Choice
from labbook.identity import deciding
from labbook.idle import idle
from labbook.initialization import draw
from labbook.keys import OF_TRAINER
from labbook.loggers import TensorBoard
from labbook.models import sam, smallest_images
from labbook.models.classifier import Classifier, Task
from labbook.recorder import Recorder
from labbook.runs import CHECKPOINTS, TABLE, Run
from labbook.saving import Checkpoints, any_rank, stopped_early
from labbook.stopping import check_monitors
from labbook.watching import Watching

# Lightning 2.6 asks torch 2.15 a question in an old-fashioned way, once for every kind of batch.
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*", category=FutureWarning)

# What Lightning says of itself goes to train.log, where a run adds its handler, and not to the terminal.
for _name in ("pytorch_lightning", "lightning_fabric"):
    logging.getLogger(_name).handlers.clear()
    logging.getLogger(_name).propagate = False

log = logging.getLogger("labbook")

# What the program itself gives to each group's target, and what a user may reach for instead; None: for the
# group's own setting, which `hardware` has made definite.
SUPPLIED: dict[str, dict[str, str | None]] = {
    "data": {"seed": "use seed=N", "only": "an evaluation reads what it needs"},
    "model": {"spec": "it is that of the data", "task": "use the groups optimizer and scheduler, or task.SETTING"},
    "loss": {
        **dict.fromkeys(("weight", "pos_weight"), "use loss.class_weights=balanced, or {CLASS: FACTOR}"),
        "label_smoothing": "use task.label_smoothing=X",
        **dict.fromkeys(("reduction", "reduce", "size_average"), "a loss is the mean over the batch, so leave it out"),
    },
    "trainer": {"precision": None, "accelerator": None, **OF_TRAINER},
    "logger": {"save_dir": "use log_dir=FOLDER"},
    "metrics": dict.fromkeys(("num_classes", "num_labels", "task")),
}


def check(config: DictConfig) -> None:
    """Hold every `_target_` against the signature it names, before data or device is touched.

    Raises:
        SettingError: see `building.check` and `hardware.check_strategy`.
    """
    loss, class_weights = loss_settings(config)
    nodes = {**config, "loss": loss}
    for group in ("model", "data", "optimizer", "scheduler", "loss", "trainer", "logger", "callbacks", "metrics"):
        building.check(nodes[group], group, SUPPLIED.get(group))
    losses.check_class_weights(class_weights)
    metric_building.check_names(config.metrics or {})
    metric_building.check_objective(config)
    hardware.check_strategy(str(config.trainer.get("strategy", "auto")))


def loss_settings(config: DictConfig) -> tuple[dict[str, Any], Any]:
    """The node of the group `loss`, and the class weights beside it, which the program gives to any loss."""
    node: Any = OmegaConf.to_container(config.loss, resolve=True)
    weights = node.pop("class_weights", None)
    return node, weights


def build_data(config: DictConfig, only: Part | None = None) -> ImageDataModule:
    """The data module that a configuration describes; what it leaves open is noted in it as pretrained weights want it.

    `only` is the part that an evaluation needs, where the data set can be read so.

    Raises:
        SettingError: settings that do not go together, or folders that are not there.
    """
    network = building.locate(config.model._target_, "model")
    for name, value in network.wanted_images(config.model).items():
        if config.data[name] is None:
            config.data[name] = value
    known, _ = building.parameters(building.locate(config.data._target_, "data"))
    options = {"only": only} if only and "only" in known else {}
    data = building.build(config.data, "data", seed=config.seed, **options)
    assert isinstance(data, ImageDataModule)
    return data


def build_model(config: DictConfig, spec: ImageSpec) -> Classifier:
    """The network that a configuration describes, for the images of `spec`; its weights are drawn from the seed.

    Raises:
        SettingError: a network that these images or the memory do not fit, or see `sam.check`.
    """
    loss, class_weights = loss_settings(config)
    task = Task(
        building.build(config.optimizer, "optimizer"),
        building.build(config.scheduler, "scheduler") or None,
        building.build({**loss, "_partial_": True}, "loss"),
        class_weights,
        **{item.name: config.task[item.name] for item in fields(Task) if item.name in config.task},
    )
    losses.check(task.loss, task.label_smoothing, task.class_weights, spec, bool(task.mixup or task.cutmix))
    if task.sam:
        sam.check(config.trainer.get("accumulate_grad_batches") or 1)
    seed_everything(config.seed, verbose=False)

    def make(images: ImageSpec) -> Classifier:
        network = building.build(config.model, "model", spec=images, task=task)
        assert isinstance(network, Classifier)
        return network

    try:
        model = make(spec)
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            smallest_images.check(make, spec, error)
            raise
        shape = f"{spec.channels} x {spec.size} x {spec.size}"
        raise SettingError(
            f"this network for images of {shape} pixels takes more memory than there is: use a smaller"
            " data.image_size, or a smaller network"
        ) from error
    if model.required_size == 1:
        smallest_images.check(make, spec)
    if model.pretrained and config.task.init != "torch":
        raise SettingError(f"task.init={config.task.init} would draw published weights anew: use task.init=torch")
    draw(model, config.task.init)
    if "top5" in config.objective and not model.has_top5:
        raise SettingError(
            f"objective={config.objective} needs at least 10 classes, and the data has {spec.num_classes}"
        )
    return model


def build_metrics(config: DictConfig, model: Classifier) -> list[Callback]:
    """What computes the metrics of the group `metrics` for this network; nothing where there are none.

    Raises:
        SettingError: see `metric_building.build_metrics`.
    """
    metrics = metric_building.build_metrics(config.metrics or {}, model)
    return [EvaluationMetrics(metrics)] if metrics else []


def build_trainer(config: DictConfig, choice: Choice, run: Run, model: Classifier, data: ImageDataModule) -> Trainer:
    """A Lightning Trainer that keeps everything in the run's folder.

    Raises:
        SettingError: early stopping without anything to watch, or a logger that is not installed; see also
            `build_metrics`.
    """
    validated = len(data.rows["val"]) > 0
    select = validated and config.test_on == "best" and data.validate_on == "val"
    callbacks: list[Callback] = [*build_metrics(config, model), *building.build(config.callbacks, "callbacks").values()]
    monitored = str((config.scheduler or {}).get("monitor", ""))
    check_monitors(callbacks, monitored, None if not validated else data.validate_on)
    callbacks += [GradientNorms()] if config.task.gradient_norms else []
    recorder = Recorder(run.path / TABLE)
    saving = {"objective": config.objective, "select": select, "every_minutes": config.checkpoint.every_minutes}
    settings: Any = OmegaConf.to_container(config.callbacks or OmegaConf.create(), resolve=True)
    saving["deciding"] = deciding(settings)
    callbacks += [recorder, Watching(recorder), Checkpoints(run.path / CHECKPOINTS, recorder, run.signals, **saving)]
    if config.sweep.job.trial is not None and config.sweep.prune:
        from labbook.sweeps.pruning import Pruning  # only a search has Optuna

        objective = held_out(config.objective, data.validate_on)
        callbacks.append(Pruning(run, recorder, config.sweep.job.trial, objective))
    options: dict[str, Any] = {} if validated else {"limit_val_batches": 0}
    trainer = quiet_trainer(
        config,
        choice,
        max_epochs=config.epochs,
        callbacks=callbacks,
        logger=build_logger(config, run),
        plugins=[WholeFileIO(), *environment()],
        default_root_dir=str(run.path),
        **options,
    )
    run.closing.push(lambda kind, *_: end_others(trainer) if kind is not None else None)
    return trainer


def end_others(trainer: Trainer) -> None:
    """End the processes that Lightning started beside this one, which ends early and has saved what there was to save.

    They might wait for this one for ever; and Lightning's watcher kills it when it sees one of them end before.
    """
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        others = list(launcher.procs)
        launcher.procs.clear()  # the watcher's list, too
        for process in others:
            process.kill()
            process.wait()


def tune(config: DictConfig, choice: Choice) -> None:
    """Let torch compute as fast as it can, or, if asked to, always alike."""
    deterministic = config.trainer.get("deterministic", False)
    torch.set_float32_matmul_precision("highest" if deterministic else "high")  # "high" is TF32 where there is any
    torch.backends.cudnn.benchmark = not deterministic
    if choice.accelerator == "cpu" and config.keep_memory:
        overhead.keep_memory()


def quiet_trainer(config: DictConfig, choice: Choice, **options: Any) -> Trainer:
    """A Lightning Trainer on the chosen device that neither draws nor writes anything by itself."""
    tune(config, choice)
    trainer = building.build(
        config.trainer,
        "trainer",
        accelerator=choice.accelerator,
        precision=choice.precision,
        benchmark=torch.backends.cudnn.benchmark,  # which Lightning would set its own way
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )
    assert isinstance(trainer, Trainer)
    # Lightning's handler of SIGTERM would end the program with code 0 and nothing saved, and wait for other processes.
    vars(trainer._signal_connector)["register_signal_handlers"] = lambda: None
    return trainer


def environment() -> list[LightningEnvironment]:
    """Processes are started here or by torchrun, whatever Slurm says of its tasks."""
    return [] if "TORCHELASTIC_RUN_ID" in os.environ else [LightningEnvironment()]


def build_logger(config: DictConfig, run: Run) -> Logger | bool:
    """The logger, writing into the run's folder; False where there is none."""
    if not config.logger:
        return False
    try:
        options = trackers.options_of(building.locate(config.logger._target_, "logger"), config.logger, run)
        logger: Logger = building.build(config.logger, "logger", save_dir=str(run.path), **options)
    except (ImportError, ModuleNotFoundError) as error:
        name = str(config.choices.get("logger"))
        package = (isinstance(error, ModuleNotFoundError) and error.name) or name
        raise SettingError(not_installed(f"logger={name}", name if name in EXTRAS else package)) from error
    if isinstance(logger, TensorBoard):
        run.closing.callback(logger.close)
    trackers.connect(logger, config.logger, run)
    return logger


def arrange(model: Classifier, data: ImageDataModule, channels_last: bool) -> None:
    """Lay weights and images out in memory channels-last, where the network has convolutions to gain by it."""
    if channels_last and model.convolutional:
        model.to(memory_format=torch.channels_last)
        data.memory_format = torch.channels_last


def fit(
    trainer: Trainer, model: Classifier, data: ImageDataModule, run: Run, channels_last: bool, compiled: bool
) -> None:
    """Train, from the run's last checkpoint if there is one.

    Raises:
        TrainingError: the loss is no longer finite.
        Interrupted: a signal came; the state was saved first.
    """
    for note in idle(run.config, model):
        log.warning("note: %s", note)
    arrange(model, data, channels_last)
    if compiled:
        model.compile()
    step = 0
    if run.state is not None:
        epoch, step, done = checkpoints.position(model, run.state)
        epochs = run.config.epochs
        log.info("going on from epoch %d, step %d: to %d epochs in all (%d more)", epoch, step, epochs, epochs - done)
    elif run.resumes:
        log.warning("nothing of this run was saved before: starting from the beginning")
    if isinstance(trainer.logger, TensorBoard):
        if run.resumes:
            trainer.logger.purge(step)
        trainer.logger.introduce(run.config, step)
    with run.signals.deferred(), overhead.reduced(trainer, model), warnings.catch_warnings():
        # Lightning's interval is for figures of single steps; here they are logged by the epoch.
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")  # callbacks may be left out
        warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")  # a frozen backbone is
        try:
            trainer.fit(model, datamodule=data, ckpt_path=run.state, weights_only=True if run.state else None)
        except ValueError as error:
            if not str(error).startswith("Expected more than 1 value per channel when training"):
                raise
            raise SettingError(
                f"data.batch_size={data.batch_size} leaves a batch of one image, in which batch normalisation has"
                " nothing to compare: use data.drop_last=true or another batch size"
            ) from error
    if stopped := stopped_early(trainer, run.config.epochs):
        log.info("stopped early %s", stopped)
    if any_rank(trainer, run.signals.received is not None):  # after the last step
        raise Interrupted(run.signals.received or signal.SIGTERM)

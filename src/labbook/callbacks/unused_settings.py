"""Settings without an effect in this run, printed before it starts; only certain cases."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from pytorch_lightning import LightningModule
from pytorch_lightning.callbacks import EarlyStopping

from labbook.callbacks.lookahead import Lookahead
from labbook.callbacks.unfreeze import Unfreeze
from labbook.config import instantiate
from labbook.config.job_config import reference_config
from labbook.config.schema import DEFAULT_LOSS, SweepConfig, TaskConfig
from labbook.config.target_rules import return_type
from labbook.training import capabilities
from labbook.training.capabilities import has_convolutions
from labbook.training.classifier import Classifier
from labbook.training.parameter_groups import group_parameters

LAYER_FACTORS = {
    "norm_bias_lr_factor": "the network trains no biases of normalisation layers",
    "layer_lr_decay": "only one layer of the network is trained",
    "backbone_lr_factor": "only the last layer of the network is trained",
}


def unused_settings(config: DictConfig, model: LightningModule) -> list[str]:
    """A sentence on each setting that was given and has no effect."""
    config_alone = (
        unused_outside_sweeps(config),
        unused_schedule(config),
        unused_validation(config),
        unused_split(config),
        unused_unfreezing(config),
    )
    model_too = (unused_layout(config, model), unused_compilation(config, model))
    own = (
        unused_by_classifier(config, model) if capabilities.is_classifier(model) else unused_by_own_model(config, model)
    )
    return [note for found in (*config_alone, *model_too, own) for note in found]


def unused_by_classifier(config: DictConfig, model: Classifier) -> Iterator[str]:
    yield from unused_layer_factors(
        model, unfreezes=any(issubclass(kind, Unfreeze) for _, kind in callbacks_of(config))
    )
    yield from unused_loss(config, model)
    kind = return_type(instantiate.resolve_target(config.data._target_, "data"))
    if config.evaluate_train and kind is not None and not capabilities.is_image_data_type(kind):
        yield f"evaluate_train=true has no effect on {kind.__name__}, which is not an ImageDataModule"


def unused_outside_sweeps(config: DictConfig) -> Iterator[str]:
    if config.sweep.job.folder is None:
        for item in fields(SweepConfig):
            if item.name != "job" and config.sweep[item.name] != item.default:
                yield f"sweep.{item.name}={config.sweep[item.name]} has no effect on a single run: add -m for a sweep"


def callbacks_of(config: DictConfig) -> Iterator[tuple[str, type]]:
    """The names of the callbacks with their classes."""
    for name, node in (config.callbacks or {}).items():
        kind = return_type(instantiate.resolve_target(node._target_, f"callbacks.{name}")) if node else None
        if kind is not None:
            yield str(name), kind


def unused_layer_factors(model: Classifier, unfreezes: bool = False) -> Iterator[str]:
    trained = model.freezing.trainable if model.freezing and unfreezes else None
    for name, why in LAYER_FACTORS.items():
        factor = getattr(model.task, name)
        if factor == 1:
            continue
        groups = group_parameters(
            model, model.ordered_layers(), model.task.optimizer, trained=trained, **{name: factor}
        )
        if not any("lr" in group for group in groups):
            yield f"task.{name}={factor} has no effect because {why}: leave it out"


def unused_schedule(config: DictConfig) -> Iterator[str]:
    """A schedule that does not reach its main phase."""
    warmup = (config.scheduler or {}).get("warmup_epochs", 0)
    if warmup >= config.epochs:
        yield (
            f"scheduler.warmup_epochs={warmup} takes all of epochs={config.epochs}, so the learning rate is never"
            " reached: use fewer"
        )
    patience = (config.scheduler or {}).get("patience", 0)
    if "monitor" in (config.scheduler or {}) and patience + 2 >= config.epochs:
        what = f"scheduler.patience={patience} never reduces the learning rate in epochs={config.epochs}"
        yield f"{what}: use less patience or more epochs"


def unused_validation(config: DictConfig) -> Iterator[str]:
    """Settings that need validation in a run without validation."""
    every = config.trainer.get("check_val_every_n_epoch") or 1
    validated = config.epochs // every
    if validated == 0:
        yield f"trainer.check_val_every_n_epoch={every} never validates in epochs={config.epochs}: use a smaller one"
    for name, kind in callbacks_of(config):
        node = config.callbacks[name]
        if issubclass(kind, Lookahead) and tests_best_epoch(config):
            yield (
                f"callbacks.{name} sets the weights to its slow copy at the last epoch: test it with"
                " test_checkpoint=last"
            )
        parameter = instantiate.target_parameters(kind)[0].get("patience")
        if not issubclass(kind, EarlyStopping) or parameter is None or node.get("check_on_train_epoch_end"):
            continue
        patience = node.get("patience", parameter.default)
        if validated and patience + 1 >= validated:
            yield (
                f"callbacks.{name}.patience={patience} cannot stop a run early that validates {validated} times: use"
                " less patience or more epochs"
            )


def unused_unfreezing(config: DictConfig) -> Iterator[str]:
    for name, kind in callbacks_of(config):
        if not issubclass(kind, Unfreeze):
            continue
        epoch = config.callbacks[name].get("epoch", Unfreeze().epoch)
        if epoch > config.epochs:
            yield f"callbacks.{name}.epoch={epoch} unfreezes no layer in epochs={config.epochs}: use a smaller one"


def tests_best_epoch(config: DictConfig) -> bool:
    """Whether the tested epoch is the best of all."""
    validated = (config.folds or config.data.get("val_fraction")) and config.data.get("validation") == "split"
    return bool(validated) and config.test_checkpoint == "best"


def unused_split(config: DictConfig) -> Iterator[str]:
    """Settings of a split that draws no validation images."""
    data = config.data
    if data.get("val_seed") and (data.get("val_split") == "last" or data.get("validation") == "test"):
        kept = "val_split=last" if data.get("val_split") == "last" else "validation=test"
        yield (
            f"data.val_seed={data.val_seed} has no effect because data.{kept} selects no random validation"
            " images: leave it out"
        )


def unused_layout(config: DictConfig, model: LightningModule) -> Iterator[str]:
    """A memory layout for convolutions in a network without any."""
    title = capabilities.model_title(model)
    if config.channels_last and not has_convolutions(model):
        yield f"channels_last=true has no effect on {title}, which has no convolution: leave it out"
    elif config.channels_last and not capabilities.takes_channels_last(model):
        yield f"channels_last=true has no effect on {title}, which has no spec: leave it out"


def unused_compilation(config: DictConfig, model: LightningModule) -> Iterator[str]:
    """Compilation of a network without a forward."""
    if config.compile and not capabilities.has_forward(model):
        yield f"compile=true has no effect on {capabilities.model_title(model)}, which has no forward: leave it out"


def unused_loss(config: DictConfig, model: Classifier) -> Iterator[str]:
    """Loss settings of a network that has its own loss and does not use them."""
    method = type(model).loss
    if method is Classifier.loss or {"super", "criteria", Classifier.__name__} & {*method.__code__.co_names}:
        return
    for name in given_loss_settings(config):
        yield f"{name} has no effect because {model.title} has its own loss: leave it out"


def given_loss_settings(config: DictConfig) -> list[str]:
    given = {"loss._target_": config.loss._target_ != DEFAULT_LOSS, "loss.class_weights": config.loss.class_weights}
    given["task.label_smoothing"] = config.task.label_smoothing
    return [name for name, value in given.items() if value]


def unused_by_own_model(config: DictConfig, model: LightningModule) -> Iterator[str]:
    """Settings that only a `Classifier` uses, and the optimizer group for a model with its own optimizers."""
    title, given = (
        capabilities.model_title(model),
        instantiate.target_parameters(instantiate.resolve_target(config.model._target_, "model"))[0],
    )
    for item in fields(TaskConfig):
        takes = "task" in given or item.name == "init"
        if not takes and config.task[item.name] != item.default:
            yield f"task.{item.name}={config.task[item.name]} has no effect on {title}, which is not a Classifier"
    for name in (name for name in given_loss_settings(config) if name.startswith("loss") and "task" not in given):
        yield f"{name} has no effect on {title}, which is not a Classifier"
    if config.evaluate_train:
        yield f"evaluate_train=true has no effect on {title}, which is not a Classifier"
    for group in ("optimizer", "scheduler"):
        takes = "task" in given or group in given or not capabilities.configures_optimizers(model)
        if not takes and config[group] != default_group(group):
            choice = config.config_groups.get(group) or group
            yield (
                f"{group}={choice} has no effect on {title}, because its configure_optimizers creates its own: add an"
                f" argument {group} of its constructor, or leave it out"
            )


def default_group(group: str) -> Any:
    return reference_config(())[group] if GlobalHydra.instance().is_initialized() else None

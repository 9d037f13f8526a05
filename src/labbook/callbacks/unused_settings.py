"""Settings without an effect in this run, printed before it starts; only certain cases."""

from collections.abc import Iterator
from dataclasses import fields

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
NOT_DRAWN = {"val_split": "last", "validation": "test"}  # settings of `data` with which no image is drawn


def unused_settings(config: DictConfig, model: LightningModule) -> list[str]:
    """A sentence on each setting that was given and has no effect."""
    of_kind = (
        unused_by_classifier(config, model) if capabilities.is_classifier(model) else unused_by_own_model(config, model)
    )
    return [
        *unused_outside_sweeps(config),
        *unused_schedule(config),
        *unused_validation(config),
        *unused_split(config),
        *unused_compute(config, model),
        *of_kind,
    ]


def unused_by_classifier(config: DictConfig, model: Classifier) -> Iterator[str]:
    yield from unused_layer_factors(model, any(issubclass(kind, Unfreeze) for _, kind in callbacks_of(config)))
    method = type(model).loss
    if method is not Classifier.loss and not {"super", "criteria", "Classifier"} & {*method.__code__.co_names}:
        for name in given_loss_settings(config):
            yield f"{name} has no effect because {model.title} has its own loss: leave it out"
    kind = return_type(instantiate.resolve_target(config.data._target_, "data"))
    if config.evaluate_train and kind is not None and not capabilities.is_image_data_type(kind):
        yield f"evaluate_train=true has no effect on {kind.__name__}, which is not an ImageDataModule"


def unused_outside_sweeps(config: DictConfig) -> Iterator[str]:
    if config.sweep.job.folder is None:
        for item in fields(SweepConfig):
            if item.name != "job" and config.sweep[item.name] != item.default:
                yield f"sweep.{item.name}={config.sweep[item.name]} has no effect on a single run: add -m for a sweep"


def callbacks_of(config: DictConfig) -> Iterator[tuple[str, type]]:
    for name, node in (config.callbacks or {}).items():
        kind = return_type(instantiate.resolve_target(node._target_, f"callbacks.{name}")) if node else None
        if kind is not None:
            yield str(name), kind


def unused_layer_factors(model: Classifier, unfreezes: bool = False) -> Iterator[str]:
    trained = model.freezing.trainable if model.freezing and unfreezes else None
    layers, optimizer = model.ordered_layers(), model.task.optimizer
    for name, why in LAYER_FACTORS.items():
        if (factor := getattr(model.task, name)) != 1:
            groups = group_parameters(model, layers, optimizer, trained=trained, **{name: factor})
            if not any("lr" in group for group in groups):
                yield f"task.{name}={factor} has no effect because {why}: leave it out"


def unused_schedule(config: DictConfig) -> Iterator[str]:
    """A schedule that does not reach its main phase."""
    scheduler, epochs = config.scheduler or {}, config.epochs
    if (warmup := scheduler.get("warmup_epochs", 0)) >= epochs:
        yield (
            f"scheduler.warmup_epochs={warmup} takes all of epochs={epochs}, so the learning rate is never reached:"
            " use fewer"
        )
    if "monitor" in scheduler and (patience := scheduler.get("patience", 0)) + 2 >= epochs:
        yield (
            f"scheduler.patience={patience} never reduces the learning rate in epochs={epochs}: use less patience or"
            " more epochs"
        )


def unused_validation(config: DictConfig) -> Iterator[str]:
    """A validation that never comes, and callbacks that do nothing in so few epochs or validations."""
    epochs, data, every = config.epochs, config.data, config.trainer.get("check_val_every_n_epoch") or 1
    validated = epochs // every
    if validated == 0:
        yield f"trainer.check_val_every_n_epoch={every} never validates in epochs={epochs}: use a smaller one"
    held_out = (config.folds or data.get("val_fraction")) and data.get("validation") == "split"
    for name, kind in callbacks_of(config):
        node, known = config.callbacks[name], instantiate.target_parameters(kind)[0]
        given = {key: node.get(key, known[key].default) for key in ("epoch", "patience") if key in known}
        if issubclass(kind, Lookahead) and held_out and config.test_checkpoint == "best":
            yield (
                f"callbacks.{name} sets the weights to its slow copy at the last epoch: test it with"
                " test_checkpoint=last"
            )
        if issubclass(kind, Unfreeze) and given.get("epoch", 0) > epochs:
            yield f"callbacks.{name}.epoch={given['epoch']} unfreezes no layer in epochs={epochs}: use more epochs"
        if issubclass(kind, Unfreeze) and given.get("epoch") == 1 and node.get("layers") is None:
            yield f"model.freeze has no effect because callbacks.{name}.epoch=1 trains all layers: use a later epoch"
        follows = issubclass(kind, EarlyStopping) and "patience" in given and not node.get("check_on_train_epoch_end")
        if follows and validated and given["patience"] + 1 >= validated:
            yield (
                f"callbacks.{name}.patience={given['patience']} cannot stop a run early that validates {validated}"
                " times: use less patience or more epochs"
            )


def unused_split(config: DictConfig) -> Iterator[str]:
    """A seed of a split that draws no validation images."""
    data = config.data
    fixed = [f"data.{name}={value}" for name, value in NOT_DRAWN.items() if data.get(name) == value]
    if data.get("val_seed") and fixed:
        yield (
            f"data.val_seed={data.val_seed} has no effect because {fixed[0]} selects no random validation images:"
            " leave it out"
        )


def unused_compute(config: DictConfig, model: LightningModule) -> Iterator[str]:
    """A memory layout for convolutions, or a compilation, of a network that has nothing for it."""
    lacking = {}
    if config.channels_last and not capabilities.takes_channels_last(model):
        lacking["channels_last"] = "spec" if has_convolutions(model) else "convolution"
    if config.compile and not capabilities.has_forward(model):
        lacking["compile"] = "forward"
    for name, what in lacking.items():
        yield f"{name}=true has no effect on {capabilities.model_title(model)}, which has no {what}: leave it out"


def given_loss_settings(config: DictConfig) -> list[str]:
    given = {"loss._target_": config.loss._target_ != DEFAULT_LOSS, "loss.class_weights": config.loss.class_weights}
    given["task.label_smoothing"] = config.task.label_smoothing
    return [name for name, value in given.items() if value]


def unused_by_own_model(config: DictConfig, model: LightningModule) -> Iterator[str]:
    """Settings that only a `Classifier` uses, and the optimizer group for a model with its own optimizers."""
    title = capabilities.model_title(model)
    given, _ = instantiate.target_parameters(instantiate.resolve_target(config.model._target_, "model"))
    of_classifiers = ["evaluate_train=true"] if config.evaluate_train else []
    if "task" not in given:
        task = {item.name: config.task[item.name] for item in fields(TaskConfig) if item.name != "init"}
        usual = {item.name: item.default for item in fields(TaskConfig)}
        of_classifiers += [f"task.{name}={value}" for name, value in task.items() if value != usual[name]]
        of_classifiers += [name for name in given_loss_settings(config) if name.startswith("loss")]
    for setting in of_classifiers:
        yield f"{setting} has no effect on {title}, which is not a Classifier"
    for group in ("optimizer", "scheduler"):
        takes = "task" in given or group in given or not capabilities.configures_optimizers(model)
        usual_one = reference_config(())[group] if GlobalHydra.instance().is_initialized() else None
        if not takes and config[group] != usual_one:
            choice = config.config_groups.get(group) or group
            yield (
                f"{group}={choice} has no effect on {title}, because its configure_optimizers creates its own: add an"
                f" argument {group} of its constructor, or leave it out"
            )

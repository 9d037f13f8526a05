"""Create the objects that a configuration describes."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import LightningDataModule, LightningModule, seed_everything

from labbook.config import instantiate
from labbook.config.schema import NODES
from labbook.config.target_rules import return_type
from labbook.config.unknown_keys import OF_TRAINER
from labbook.data.datamodule import Part
from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError, UntrainableError, list_choices
from labbook.models import smallest_images, weights
from labbook.runs import weights_source
from labbook.training import (
    capabilities,
    hardware,
    losses,
    metric_building,
    objectives,
    own_modules,
    sam,
)
from labbook.training.batch_size import AUTO
from labbook.training.classifier import Classifier, Task
from labbook.training.initialization import init_weights

# Lightning 2.6 uses a deprecated function of torch 2.15, once per kind of batch.
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*", category=FutureWarning)

OF_ANY_MODEL = ("weights", "freeze")  # settings of the group `model` that its classes need not have
# Strategies whose processes each run the whole program, unlike those that fork or spawn.
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true")

log = logging.getLogger("labbook")
Found = TypeVar("Found")

# Arguments that the program gives to each group's target, and the setting to use instead; None: the group's own
# setting, which `hardware` has resolved.
SUPPLIED: dict[str, dict[str, str | None]] = {
    "data": {
        **{name: f"use {name}=N" for name in ("seed", "fold", "folds")},
        "only": "an evaluation reads what it needs",
    },
    "model": {
        "spec": "it is that of the data",
        "task": "use the groups optimizer and scheduler, or task.SETTING",
        **dict.fromkeys(("optimizer", "scheduler", "seed")),
    },
    "optimizer": {"params": "the network has them, so leave it out"},
    "scheduler": {"optimizer": "use the group optimizer"},
    "loss": {
        **dict.fromkeys(("weight", "pos_weight"), "use loss.class_weights=balanced, or {CLASS: FACTOR}"),
        "label_smoothing": "use task.label_smoothing=X",
        **dict.fromkeys(("reduction", "reduce", "size_average"), "a loss is the mean over the batch, so leave it out"),
    },
    "trainer": {"precision": None, "accelerator": None, **OF_TRAINER},
    "logger": {"save_dir": "use log_dir=FOLDER"},
    "metrics": dict.fromkeys(("num_classes", "num_labels", "task")),
}


def check_experiment(config: DictConfig) -> None:
    """Check the settings of each `_target_` against its signature, before data or device is used."""
    loss, class_weights = loss_settings(config)
    model, general = model_settings(config)
    data = config.data.copy()
    if data.get("batch_size") == AUTO:
        data.batch_size = 1  # of the type of the number that is found
    nodes = {**config, "loss": loss, "model": model, "data": data}
    for group in NODES:
        instantiate.check_node_tree(nodes[group], group, SUPPLIED.get(group))
    if not isinstance(source := general.get("weights"), str | None):
        raise SettingError(f"model.weights={source} must be a file, a run folder, https://... or hf://OWNER/NAME")
    losses.check_class_weights(class_weights)
    metric_building.check_metric_names(config.metrics or {})
    metric_building.check_objective_is_computed(config)
    own_modules.check_own_modules(config)
    strategy = str(config.trainer.get("strategy", "auto"))
    if strategy not in STRATEGIES:
        raise UntrainableError(f"trainer.strategy={strategy} does not work here; {list_choices(strategy, STRATEGIES)}")
    hardware.check_num_nodes(config.trainer.get("num_nodes"))
    hardware.parse_devices(config.trainer.get("devices", "auto"))
    objectives.check_objective(config)
    if (least := config.trainer.get("min_epochs")) is not None and least > config.epochs:
        raise UntrainableError(f"trainer.min_epochs={least} is more than epochs={config.epochs}: use epochs={least}")


def loss_settings(config: DictConfig) -> tuple[dict[str, Any], Any]:
    """The node of the group `loss`, and its class weights, which the program gives to any loss."""
    node: Any = OmegaConf.to_container(config.loss, resolve=True)
    class_weights = node.pop("class_weights", None)
    return node, class_weights


def model_settings(config: DictConfig) -> tuple[DictConfig, dict[str, Any]]:
    """The node of the group `model`, and its `settings_of_any_model`."""
    general = settings_of_any_model(config)
    node = config.model.copy()  # keeps the parent, which interpolations need
    OmegaConf.set_struct(node, False)
    for name in general:
        node.pop(name, None)
    return node, general


def settings_of_any_model(config: DictConfig) -> dict[str, Any]:
    """`model.weights` and `model.freeze`, which the program applies to any network.

    A class with an argument of one of these names gets it itself.
    """
    known, _ = instantiate.target_parameters(instantiate.resolve_target(config.model._target_, "model"))
    return {name: config.model.get(name) for name in OF_ANY_MODEL if name not in known}


def build_data(config: DictConfig, only: Part | None = None) -> LightningDataModule:
    node = config.data
    if node.get("batch_size") == AUTO:
        raise SettingError("data.batch_size=auto is for train.py and find_lr.py, which try it out: use a number")
    target = instantiate.resolve_target(node._target_, "data")
    available = {"seed": config.seed, "fold": config.fold, "folds": config.folds, **({"only": only} if only else {})}
    given = own_modules.supplied_arguments(target, node, "data", **available)
    if config.folds and "folds" not in given:
        raise SettingError(f"folds={config.folds}: data._target_={node._target_} takes no `fold` and `folds`")
    data: LightningDataModule = instantiate.build_object(node, "data", **given)
    return data


def build_new_data(config: DictConfig, resumed: Path | None = None) -> LightningDataModule:
    """The data module of a run that is trained.

    Values that pretrained weights or the data choose are written into `config.data`. So they are in the config.yaml of
    the run, from which `build_data` uses them as they are, also those of a version that chose others.
    """
    config.data.update(pretrained_settings(config, resumed))
    data = build_data(config)
    if capabilities.is_image_data(data):
        config.data.update({name: value for name, value in data.decided.items() if name in config.data})
    return data


def pretrained_settings(config: DictConfig, resumed: Path | None = None) -> dict[str, Any]:
    """Values for the settings of the data that are null, for the weights that the network starts with.

    Weights of a run need its images, and other files those of the network's pretrained weights, if it has any. For
    images of another size, `decode_size` keeps its ratio to it. A `resumed` run keeps its own images.
    """
    network = return_type(instantiate.resolve_target(config.model._target_, "model"))
    source = settings_of_any_model(config).get("weights")
    if run := resumed or (source and weights_source.run_of_weights(source)):
        wanted = weights.data_settings_of_run(run)
    else:
        wanted = capabilities.pretrained_data_settings(network, config.model)
    if (size := config.data.get("image_size")) and "decode_size" in wanted:
        wanted["decode_size"] = wanted["decode_size"] * size // wanted["image_size"]
    return {name: value for name, value in wanted.items() if name in config.data and config.data[name] is None}


def build_model(config: DictConfig, spec: Any) -> LightningModule:
    """The model of a configuration, with weights initialized from the seed.

    Its constructor gets what it asks for: `spec` of the data (or None), `task`, `optimizer`, `scheduler` and `seed`.
    """
    loss, class_weights = loss_settings(config)
    task = Task(
        instantiate.build_object(config.optimizer, "optimizer"),
        instantiate.build_object(config.scheduler, "scheduler") or None,
        instantiate.build_object({**loss, "_partial_": True}, "loss"),
        class_weights,
        **{item.name: config.task[item.name] for item in fields(Task) if item.name in config.task},
    )
    target = instantiate.resolve_target(config.model._target_, "model")
    available = {"optimizer": task.optimizer, "scheduler": task.scheduler, "seed": config.seed, "task": task}
    node, general = model_settings(config)

    def make(spec: Any) -> Any:
        given = own_modules.supplied_arguments(target, node, "model", spec=spec, **available)
        return instantiate.build_object(node, "model", **given)

    of_ours = capabilities.is_classifier_type(return_type(target))
    if of_ours:
        check_task_settings(config, task, spec)
    seed_everything(config.seed, verbose=False)
    model: LightningModule = build_classifier(config, spec, make) if of_ours else make(spec)
    own_modules.add_optimizer(model, task)
    init_weights(model, config.task.init)
    freeze_layers(config, model, **general)
    return model


def freeze_layers(config: DictConfig, model: LightningModule, weights: Any = None, freeze: Any = None) -> None:
    library = getattr(model, "pretrained", False)
    if weights is not None and library:
        raise SettingError(f"model.weights={weights} would replace the weights of model.pretrained=true: use one")
    pretrained = weights is not None or library
    if pretrained and config.task.init != "torch":
        raise SettingError(f"task.init={config.task.init} would replace the pretrained weights: use task.init=torch")
    if freeze in (None, "none"):
        return
    capabilities.require_classifier(model, "model.freeze").freeze_layers(freeze)
    if not pretrained:
        raise SettingError(
            f"model.freeze={freeze} would keep random weights: add model.weights=FILE, or model.pretrained=true for a"
            " network of torchvision or timm"
        )


def check_task_settings(config: DictConfig, task: Task, spec: Any) -> None:
    if not isinstance(spec, ImageSpec):
        raise SettingError(f"model._target_={config.model._target_} {own_modules.NO_SPEC}")
    losses.check_loss(task.loss, task.label_smoothing, task.class_weights, spec, bool(task.mixup or task.cutmix))
    if task.sam:
        sam.check_sam(config.trainer.get("accumulate_grad_batches") or 1)


def build_classifier(config: DictConfig, spec: ImageSpec, make: Callable[[ImageSpec], Classifier]) -> Classifier:
    """Create the model for the images of `spec`, or refuse them."""
    try:
        model = make(spec)
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            smallest_images.check_image_size(make, spec, error)
            raise
        shape = f"{spec.channels} x {spec.size} x {spec.size}"
        raise SettingError(
            f"this network for images of {shape} pixels needs more memory than available: use a smaller"
            " data.image_size, or a smaller network"
        ) from error
    if model.required_size == 1:
        smallest_images.check_image_size(make, spec)
    if "top5" in config.objective and not model.has_top5:
        raise SettingError(
            f"objective={config.objective} needs at least 10 classes, and the data has {spec.num_classes}"
        )
    return model


def set_up_data(data: LightningDataModule) -> None:
    """Read images before the run has a folder; the Trainer sets up other data modules."""
    if capabilities.is_image_data(data):
        data.setup()


def on_meta_device(config: DictConfig, data: LightningDataModule, look: Callable[[LightningModule], Found]) -> Found:
    """Call `look` with the network of a configuration on the meta device, which is fast.

    If values are needed, it gets a real network.
    """
    spec = capabilities.spec_of_data(data)
    try:
        with torch.device("meta"):
            return look(build_model(config, spec))
    except (NotImplementedError, RuntimeError):  # torch's, for a value on the meta device
        return look(build_model(config, spec))

"""The user's own models and data modules: their arguments, and an optimizer if they define none."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor

from labbook.config import instantiate
from labbook.config.target_rules import return_type
from labbook.data.image_spec import ImageSpec
from labbook.data.loader import Batch
from labbook.errors import SettingError
from labbook.training.capabilities import configures_optimizers, image_spec, is_classifier, is_image_data
from labbook.training.classifier import Task
from labbook.training.optimizers import make_optimizer, steps_per_epoch, with_schedule

NO_SPEC = (
    "needs a spec of its images, and the data has none: add a property `spec` (labbook.data.image_spec.ImageSpec) to"
    " the data module, or use other data, such as data=mnist"
)
# What each must define, by group.
NEEDED = {
    "model": (LightningModule, "training_step", "to be trained"),
    "data": (LightningDataModule, "train_dataloader", "to be trained on"),
}


def check_own_modules(config: DictConfig) -> None:
    """Refuse a model or a data module that Lightning cannot train."""
    for group, (base, hook, purpose) in NEEDED.items():
        made = return_type(instantiate.resolve_target(config[group]._target_, group))
        if getattr(made, hook, None) is getattr(base, hook):
            raise SettingError(f"{group}._target_={config[group]._target_} defines no {hook}, which it needs {purpose}")


def supplied_arguments(target: Any, node: Mapping[str, Any], name: str, /, **available: Any) -> dict[str, Any]:
    """The `available` arguments that the constructor `target` takes and the node does not set."""
    known, _ = instantiate.target_parameters(target)
    asked = {key: value for key, value in available.items() if key in known and key not in node}
    if "spec" in asked and asked["spec"] is None:
        if known["spec"].default is known["spec"].empty:
            raise SettingError(f"{name}._target_={node['_target_']} {NO_SPEC}")
        del asked["spec"]
    return asked


def add_optimizer(model: LightningModule, task: Task) -> None:
    """Give a model without `configure_optimizers` the optimizer and schedule of the configuration."""
    if not configures_optimizers(model):
        vars(model)["configure_optimizers"] = partial(default_optimizers, model, task)


def default_optimizers(model: LightningModule, task: Task) -> Any:
    """`configure_optimizers` of such a model: optimizer and schedule for all trained parameters."""
    groups = [{"params": [item for item in model.parameters() if item.requires_grad]}]
    optimizer = make_optimizer(task.optimizer, groups, fused=False)
    if task.scheduler is None:
        return optimizer
    counts = {"epochs": model.trainer.max_epochs, "steps_per_epoch": steps_per_epoch(model.trainer)}
    return with_schedule(optimizer, task.scheduler, **counts)


def adapt_batches(model: LightningModule, data: LightningDataModule) -> None:
    """Convert the batches of a user's data module to `Batch` for a classifier."""
    spec = image_spec(data)
    if is_classifier(model) and not is_image_data(data) and spec is not None:
        vars(data)["on_after_batch_transfer"] = partial(adapt_transfer, data.on_after_batch_transfer, data, spec)


def adapt_transfer(
    transfer: Callable[[Any, int], Any], data: LightningDataModule, spec: ImageSpec, batch: Any, dataloader_idx: int
) -> Batch:
    """`on_after_batch_transfer` that also converts the batch."""
    training = data.trainer is not None and bool(data.trainer.training)
    return as_batch(transfer(batch, dataloader_idx), spec, training)


def as_batch(batch: Any, spec: ImageSpec, training: bool) -> Batch:
    """Images and classes of a DataLoader as a `Batch`; uint8 pixels are normalised with the spec."""
    if isinstance(batch, Batch):
        return batch
    pair = isinstance(batch, (list, tuple)) and len(batch) == 2 and all(isinstance(item, Tensor) for item in batch)
    images, labels = batch if pair else (torch.empty(0), torch.empty(0))
    shape = (spec.channels, spec.size, spec.size)
    if images.shape[1:] != shape or labels.shape != images.shape[:1] or labels.is_floating_point():
        raise SettingError(
            f"data: a classifier needs batches of images [n, {', '.join(map(str, shape))}] and their classes [n], as"
            f" the spec of the data has them, and not {describe_batch(batch)}"
        )
    pixels = images if images.is_floating_point() else spec.normalize(images)
    rows = torch.arange(len(labels), device=labels.device)
    return Batch(pixels, labels.long(), rows, training, epoch=0, step=0, weight=1.0)


def describe_batch(batch: Any) -> str:
    if isinstance(batch, Tensor):
        return f"{str(batch.dtype).removeprefix('torch.')} {list(batch.shape)}"
    if isinstance(batch, (list, tuple)):
        return f"({', '.join(describe_batch(item) for item in batch)})"
    return type(batch).__name__

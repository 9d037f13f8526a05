"""The settings of `Classifier`: how any network is trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.training.losses import ClassWeights, Loss, check_multilabel_loss, check_weighted_names
from labbook.training.schedulers import AnyScheduler
from labbook.training.tta import Tta


@dataclass(frozen=True)
class Task:
    """How a network is trained.

    `optimizer` takes the parameters; `scheduler` takes the optimizer and, if it has such arguments, `epochs` and
    `steps_per_epoch`. `loss` is a class of losses, or a function that creates one; for its `class_weights` see
    `class_weights_of`. For `mixup` and `cutmix` see `mixup.make_mix`, for `sam` (rho) `sam.sam_gradient`, for the
    learning rate factors `parameter_groups.group_parameters`. `tta` applies to validation and test.
    """

    optimizer: Callable[..., Optimizer] = torch.optim.Adam
    scheduler: Callable[..., AnyScheduler] | None = None
    loss: Loss = nn.CrossEntropyLoss
    class_weights: ClassWeights = None
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    sam: float = 0.0
    norm_bias_lr_factor: float = 1.0
    layer_lr_decay: float = 1.0
    backbone_lr_factor: float = 1.0
    tta: Tta = "none"


def check_task_options(task: Task, spec: ImageSpec, own_loss: bool) -> None:
    """Refuse settings that do not fit the labels; a network's own loss is not checked."""
    if isinstance(task.class_weights, Mapping):
        check_weighted_names(task.class_weights, spec.class_names)
    if not spec.multilabel:
        return
    for name in ("mixup", "cutmix"):
        if getattr(task, name):
            raise SettingError(f"task.{name} needs one class per image, and these have several: use 0")
    if not own_loss:
        check_multilabel_loss(task.loss)

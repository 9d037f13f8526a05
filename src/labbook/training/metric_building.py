"""The metrics of the group `metrics`: arguments from the spec of the data, and a trial before the run."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import LightningModule
from torch import Tensor
from torchmetrics import Metric

from labbook.config import instantiate
from labbook.config.failures import LIBRARIES, ConfigPart
from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError, first_line

# Metrics of torchmetrics without a multilabel version: they evaluate each class as a yes or no.
BINARY_ALONE = ("torchmetrics.classification.CalibrationError", "torchmetrics.CalibrationError")
BUILT_IN = ("acc", "loss", "top5_acc", "acc_eval", "confusion_matrix")  # names that every run has


def check_metric_names(names: Iterable[str]) -> None:
    for name in map(str, names):
        if name in BUILT_IN:
            raise SettingError(f"metrics.{name}: every run has a metric of this name: use another name")
        if not re.fullmatch(r"[A-Za-z]\w*", name):
            raise SettingError(f"metrics.{name}: a name has letters, digits and underscores, such as metrics.f1")


def check_objective_is_computed(config: DictConfig) -> None:
    """Refuse an objective that is not computed: without validation images there are only training metrics."""
    part, _, name = config.objective.partition("/")
    if part != "val" or not (config.metrics or {}).get(name):
        return
    for setting, value in (("data.validation", "test"), ("data.val_fraction", 0)):
        if OmegaConf.select(config, setting) == value and not config.get("folds"):
            raise SettingError(
                f"objective={config.objective} needs validation images, and {setting}={value} leaves none; on training"
                " images only loss and accuracy are computed: use objective=val/acc"
            )


def build_metrics(nodes: Mapping[str, Any], model: LightningModule) -> dict[str, Metric]:
    spec = getattr(model, "spec", None)
    task = "multilabel" if spec is not None and spec.multilabel else "multiclass"
    metrics = {}
    for name, node in nodes.items():
        if node:
            given = arguments_from_spec(node, f"metrics.{name}", spec, task)
            metrics[name] = instantiate.build_object(node, f"metrics.{name}", **given)
            if spec is not None:
                try_metric(metrics[name], f"metrics.{name}", str(node["_target_"]), spec.num_classes, task)
    return metrics


def arguments_from_spec(node: Mapping[str, Any], name: str, spec: ImageSpec | None, task: str) -> dict[str, Any]:
    """The arguments `num_classes`, `num_labels` and `task` of a node whose target takes them."""
    if spec is None:
        return {}
    known, _ = instantiate.target_parameters(instantiate.resolve_target(node["_target_"], name))
    if task == "multilabel" and str(node["_target_"]) in BINARY_ALONE:
        task = "binary"
    values = {"num_classes": spec.num_classes, "num_labels": spec.num_classes, "task": task}
    given = {}
    for key, value in ((key, value) for key, value in values.items() if key in known):
        own = node.get(key)
        if own == "binary" and task == "multiclass" and spec.num_classes == 2:
            given[key] = own
        elif own not in (None, value):
            raise SettingError(f"{name}.{key}={own} does not fit this data, which has {key}={value}: leave it out")
        else:
            given[key] = value
    return given


def metric_inputs(metric: Metric, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The input of a metric: probabilities, float32 [n, classes], and labels.

    Probabilities are a softmax for labels [n], sigmoids for labels [n, classes]. A binary metric gets the probability
    of the second class, [n]; for labels [n, classes] it gets each class of each image separately.
    """
    if labels.ndim == logits.ndim:
        chances, there = logits.float().sigmoid(), labels.long()
        return (chances.flatten(), there.flatten()) if is_for("Binary", metric) else (chances, there)
    probabilities = logits.float().softmax(1)
    return (probabilities[:, 1] if is_for("Binary", metric) else probabilities), labels


def is_for(labels: str, metric: Metric) -> bool:
    """Whether a metric of torchmetrics is for `Binary` or `Multiclass` labels, by its class name."""
    return any(
        base.__module__.startswith("torchmetrics.") and base.__name__.startswith(labels)
        for base in type(metric).__mro__
    )


def try_metric(metric: Metric, name: str, target: str, classes: int, task: str) -> None:
    """Try a copy of a metric on made-up predictions, so that a metric that cannot work is refused before training."""
    module = type(metric).__module__
    if module.startswith("torchmetrics.") and not module.startswith("torchmetrics.classification."):
        raise SettingError(f"{name}._target_={target} is not a metric of torchmetrics.classification")
    if is_for("Binary", metric) and classes != 2 and task != "multilabel":
        raise SettingError(f"{name}._target_={target} is for 2 classes, and the data has {classes}")
    if task == "multilabel" and is_for("Multiclass", metric):  # some would accept them and compute something else
        raise SettingError(f"{name}._target_={target} needs one class per image, and these have several")
    logits = torch.eye(classes)
    labels = logits.long() if task == "multilabel" else torch.arange(classes)
    tried = metric.clone()
    try:
        tried.update(*metric_inputs(metric, logits, labels))
        found = tried.compute()
    except Exception as error:
        if not target.startswith(LIBRARIES):  # own code: a bug, whose traceback is useful
            ConfigPart(name, target, None).note(error)
            raise
        raise SettingError(f"{name} ({target}) does not work with {classes} classes: {first_line(error)}") from error
    if not isinstance(found, Tensor) or found.numel() != 1:
        size = f"{found.numel()} numbers" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise SettingError(
            f"{name} ({target}) gives {size}, and a metric must be one number: use average=macro or similar"
        )

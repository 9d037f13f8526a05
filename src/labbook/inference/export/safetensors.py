"""Safetensors: the weights alone, and all that our code needs to make the network that they belong to."""

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from labbook.config import instantiate
from labbook.errors import SettingError
from labbook.experiment import SUPPLIED
from labbook.inference import trained_model
from labbook.inference.export.wrapped_model import Exported
from labbook.training import checkpoint_io, own_modules
from labbook.training.classifier import Task
from labbook.training.losses import BinaryCrossEntropy
from labbook.training.tta import Tta


def safetensors_content(network: Exported, about: dict[str, str]) -> bytes:
    """The file; the weights have the names that they have in a checkpoint."""
    from safetensors.torch import save

    weights = network.network.state_dict()
    plain = {name: item.clone(memory_format=torch.contiguous_format) for name, item in weights.items()}
    written: bytes = save(plain, about)
    return written


def read_safetensors(file: Path) -> Exported:
    """The network, made anew from what the file says; its settings are checked as those of a configuration are.

    Raises:
        SettingError: no such file, or not as `safetensors_content` makes it.
    """
    weights, about = safetensors_parts(file)
    try:
        told = {name: json.loads(about[name]) for name in ("channels", "classes", "image_size", "mean", "std", "model")}
        tta = TypeAdapter(Tta).validate_python(about["tta"])
    except (KeyError, ValueError, RecursionError, ValidationError) as error:
        raise SettingError(f"{file} does not name the network of its weights") from error
    spec = trained_model.spec_of_checkpoint(
        {"class_names": told["classes"], "size": told["image_size"]}
        | {"multilabel": json.loads(about.get("multilabel", "false"))}
        | {name: told[name] for name in ("channels", "mean", "std")},
        file,
    )
    if not isinstance(told["model"], dict) or "_target_" not in told["model"]:
        raise SettingError(f"{file} does not name the network of its weights")
    instantiate.check_node_tree(told["model"], "model", SUPPLIED["model"])
    task = Task(tta=tta, loss=BinaryCrossEntropy if spec.multilabel else nn.CrossEntropyLoss)
    available = {"task": task, "optimizer": task.optimizer, "scheduler": None, "seed": 0}
    target = instantiate.resolve_target(told["model"]["_target_"], "model")
    given = own_modules.supplied_arguments(target, told["model"], "model", spec=spec, **available)
    model = instantiate.build_object(told["model"], **given)
    checkpoint_io.check_weights_fit(model, weights, file)
    model.load_state_dict(weights)
    return Exported(model, tta)


def safetensors_parts(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and what the file says of them.

    Raises:
        SettingError: no such file, or none of this format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - is no mapping
            return weights, opened.metadata() or {}
    except FileNotFoundError as error:
        raise SettingError(f"there is no file {file}") from error
    except SafetensorError as error:
        raise SettingError(f"{file} is damaged, or not a safetensors file") from error

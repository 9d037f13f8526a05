"""What is exported: the network from pixels to probabilities, and what a reader of the file must know of it."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from labbook import trained
from labbook.data.spec import ImageSpec, scale_and_shift
from labbook.models.classifier import Classifier
from labbook.origin import code_version
from labbook.runs import read_metrics
from labbook.trained import Trained, Weights
from labbook.tta import Tta, averaged

INPUTS, OUTPUTS = ("pixels",), ("logits", "probabilities")
COLOURS = {1: "grey", 3: "RGB"}


class Exported(nn.Module):
    """A classifier with normalisation before it, `task.tta` around it, probabilities behind it, in evaluation mode."""

    scale: Tensor  # float32 [C, 1, 1], as the next
    shift: Tensor

    def __init__(self, network: Classifier, tta: Tta) -> None:
        super().__init__()
        self.network, self.tta = network, tta
        scale, shift = scale_and_shift(network.spec.mean, network.spec.std, torch.device("cpu"))
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        self.eval()

    @property
    def spec(self) -> ImageSpec:
        """What the network knows of its images."""
        return self.network.spec

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels uint8 0..255 [n, C, H, W] to logits and probabilities, both float32 [n, classes]."""
        logits = averaged(self.network, pixels * self.scale - self.shift, self.tta)
        return logits, self.spec.probabilities(logits)


def opened(run: Path, config: DictConfig, weights: Weights | None = None) -> Trained:
    """The run's network on the CPU, in 32 bits.

    Raises:
        SettingError: see `trained.load`.
    """
    plain = {"accelerator": "cpu", "devices": 1, "strategy": "auto", "precision": "32", "deterministic": True}
    here = OmegaConf.create({"trainer": plain, "channels_last": False})
    merged = OmegaConf.merge(config, here)
    assert isinstance(merged, DictConfig)
    return trained.load(run, merged, weights)


def about(network: Trained, weights: Weights | None) -> dict[str, str]:
    """What goes into the file beside the network, each a text or JSON; no paths or addresses of the run's."""
    spec = network.spec
    told: dict[str, Any] = {
        "network": network.model.title,
        "input": f"pixels: uint8 0..255 [n, {spec.channels}, {spec.size}, {spec.size}] "
        f"({COLOURS.get(spec.channels, 'channels, height, width')})",
        "outputs": f"logits, probabilities: float32 [n, {spec.num_classes}]",
        "classes": spec.class_names,
        "multilabel": spec.multilabel,
        "channels": spec.channels,
        "image_size": spec.size,
        "decoding": trained.decoding(network.config, spec)._asdict(),
        "mean": spec.mean,
        "std": spec.std,
        "tta": network.config.task.tta,
        "run": network.path.resolve().name,
        "weights": trained.checkpoint_of(network.path, network.config, weights).stem,
        "epochs": network.epoch,
        "figures": figures(read_metrics(network.path)),
        "model": OmegaConf.to_container(network.config.model, resolve=True),
        "labbook": code_version(),
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}


def figures(metrics: dict[str, Any]) -> dict[str, float]:
    """Losses and accuracies of a run, and the epoch whose weights it tested."""
    kinds = ("train/", "val/", "test/", "tested_epoch")
    return {
        name: value
        for name, value in metrics.items()
        if name.startswith(kinds) and isinstance(value, (int, float)) and math.isfinite(value)
    }

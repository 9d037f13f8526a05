"""What is exported: the network from pixels to probabilities, and what a reader of the file must know of it."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from labbook import experiment
from labbook.data.decoding import Decoding
from labbook.data.image_spec import ImageSpec, scale_and_shift
from labbook.errors import ExportError
from labbook.inference import run_config, trained_model
from labbook.inference.trained_model import TrainedModel, Weights
from labbook.runs.provenance import code_version
from labbook.runs.run_folder import read_metrics
from labbook.trainer import configure_backends
from labbook.training import capabilities, hardware
from labbook.training.label_tasks import MultiLabel
from labbook.training.tta import Tta, tta_logits

INPUTS = ("pixels",)
OF_CLASSIFIER, OF_OTHERS = ("logits", "probabilities"), ("outputs",)
COLOURS = {1: "grey", 3: "RGB"}


class Exported(nn.Module):
    """A network with normalisation before it, in evaluation mode; a classifier with `task.tta` and probabilities."""

    scale: Tensor  # float32 [C, 1, 1], as the next
    shift: Tensor

    def __init__(self, network: LightningModule, tta: Tta) -> None:
        super().__init__()
        self.network, self.tta = network, tta
        self.spec = capabilities.spec_of_images(network, "export")
        self.classifies = capabilities.is_classifier(network)
        scale, shift = scale_and_shift(self.spec.mean, self.spec.std, torch.device("cpu"))
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        self.eval()

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what `forward` gives."""
        return OF_CLASSIFIER if self.classifies else OF_OTHERS

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Pixels uint8 0..255 [n, C, H, W] to logits and probabilities, both float32 [n, classes].

        A network that is no classifier gives what its own `forward` does, [n, ...].
        """
        found = tta_logits(self.network, pixels * self.scale - self.shift, self.tta)
        return (found, self.spec.probabilities(found)) if self.classifies else (found,)


@dataclass(frozen=True)
class TrainedModule:
    """A module that is no classifier and maps images to outputs, in evaluation mode on the CPU, in 32 bits."""

    path: Path  # the run's folder
    config: DictConfig
    model: LightningModule
    epoch: int  # after so many epochs

    @property
    def spec(self) -> ImageSpec:
        """The images that it takes."""
        return capabilities.spec_of_images(self.model, "export")


Exportable = TrainedModel | TrainedModule


def tta_of_network(network: Exportable) -> Tta:
    """How a network's images are looked at; a module that is no classifier sees each as it is."""
    tta: Tta = network.config.task.tta if isinstance(network, TrainedModel) else "none"
    return tta


def output_names(network: Exportable) -> tuple[str, ...]:
    """Those of its outputs."""
    return OF_CLASSIFIER if isinstance(network, TrainedModel) else OF_OTHERS


def output_shape(network: Exportable) -> str:
    """That of an output, such as [n, 10]."""
    spec = network.spec
    found = torch_outputs(network, torch.zeros(1, spec.channels, spec.size, spec.size, dtype=torch.uint8))[0]
    return f"[{', '.join(['n', *map(str, found.shape[1:])])}]"


@torch.inference_mode()
def torch_outputs(network: Exportable, pixels: Tensor) -> tuple[Tensor, ...]:
    """What PyTorch computes of pixels uint8 [n, C, H, W]: see `Exported.forward`.

    Raises:
        ExportError: not one tensor.
    """
    if isinstance(network, TrainedModel):
        logits = network.logits(pixels)
        return logits, network.spec.probabilities(logits)
    found = network.model(network.spec.normalize(pixels))
    if not isinstance(found, Tensor):
        title, kind = capabilities.model_title(network.model), type(found).__name__
        raise ExportError(f"export needs one tensor from forward(images), and {title} gives a {kind}")
    return (found,)


def open_exportable(run: Path, config: DictConfig, weights: Weights | None = None) -> Exportable:
    """The run's network on the CPU, in 32 bits.

    Raises:
        SettingError: the run has no such weights, or maps no images to outputs.
    """
    plain = {"accelerator": "cpu", "devices": 1, "strategy": "auto", "precision": "32", "deterministic": True}
    here = OmegaConf.create({"trainer": plain, "channels_last": False})
    merged = config.copy()
    merged.merge_with(here)
    checked = run_config.complete_run_config(run, merged)
    if capabilities.is_classifier_type(run_config.types_of_run(checked)[0]):
        return trained_model.load_trained(run, merged, weights, "")
    there = trained_model.open_checkpoint(run, merged, weights)
    model, epoch = there.model(capabilities.spec_of_data(experiment.build_data(there.config)))
    capabilities.spec_of_images(model, "export")
    configure_backends(there.config, hardware.choose_for_run(there.config, model))
    return TrainedModule(run, there.config, model.eval(), epoch)


def decoding_of_network(network: Exportable) -> Decoding | None:
    """How an image file is decoded for the network; None where its data does not say."""
    data = run_config.types_of_run(network.config)[1]
    return (
        trained_model.decoding_of_run(network.config, network.spec) if capabilities.is_image_data_type(data) else None
    )


def export_metadata(network: Exportable, weights: Weights | None) -> dict[str, str]:
    """What goes into the file beside the network, each a text or JSON; no paths or addresses of the run's."""
    spec, how = network.spec, decoding_of_network(network)
    told: dict[str, Any] = {
        "network": capabilities.model_title(network.model),
        "input": f"pixels: uint8 0..255 [n, {spec.channels}, {spec.size}, {spec.size}] "
        f"({COLOURS.get(spec.channels, 'channels, height, width')})",
        "outputs": f"{', '.join(output_names(network))}: float32 {output_shape(network)}",
        "classes": spec.class_names,
        "multilabel": spec.multilabel,
        **({"thresholds": thresholds_of(network)} if spec.multilabel and isinstance(network, TrainedModel) else {}),
        "channels": spec.channels,
        "image_size": spec.size,
        **({"decoding": how._asdict()} if how else {}),
        "mean": spec.mean,
        "std": spec.std,
        "tta": tta_of_network(network),
        "run": network.path.resolve().name,
        "weights": trained_model.checkpoint_file(network.path, network.config, weights).stem,
        "epochs": network.epoch,
        "figures": exported_metrics(read_metrics(network.path)),
        "model": OmegaConf.to_container(network.config.model, resolve=True),
        "labbook": code_version(),
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}


def thresholds_of(network: TrainedModel) -> list[float]:
    """Of each class, the probability above which an image is said to have it."""
    task = network.model.label_task
    return task.thresholds.tolist() if isinstance(task, MultiLabel) else []


def exported_metrics(metrics: dict[str, Any]) -> dict[str, float]:
    """Losses and accuracies of a run, and the epoch whose weights it tested."""
    kinds = ("train/", "val/", "test/", "tested_epoch")
    return {
        name: value
        for name, value in metrics.items()
        if name.startswith(kinds) and isinstance(value, (int, float)) and math.isfinite(value)
    }

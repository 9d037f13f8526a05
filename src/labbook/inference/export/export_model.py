"""Export of a run's network: the network, its metadata, and the comparison of the file with PyTorch."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import LightningModule
from torch import Tensor

from labbook import experiment
from labbook.data.decoding import Decoding
from labbook.data.image_spec import ImageSpec
from labbook.errors import ExportError
from labbook.inference import run_config, trained_model
from labbook.inference.export import formats, writers
from labbook.inference.export.writers import OF_CLASSIFIER, OF_OTHERS, Exported
from labbook.inference.trained_model import TrainedModel, Weights
from labbook.runs.outputs import is_stream, open_output, write_output
from labbook.runs.provenance import code_version
from labbook.runs.run_folder import read_metrics
from labbook.trainer import configure_backends
from labbook.training import capabilities, hardware
from labbook.training.label_tasks import MultiLabel
from labbook.training.tta import Tta

COLOURS = {1: "grey", 3: "RGB"}
BATCHES = (1, 3)  # images
MOST = 1e-3  # difference allowed in an output, relative to its maximum (at least 1)
PROBABILITIES = 1e-4  # difference allowed in probabilities
Difference = dict[str, float]  # maximum difference between file and PyTorch, by output


@dataclass(frozen=True)
class TrainedModule:
    """A module that maps images to outputs and is no classifier; in evaluation mode, on the CPU, in 32 bits."""

    path: Path  # the run's folder
    config: DictConfig
    model: LightningModule
    epoch: int  # after so many epochs
    temperature: ClassVar[float] = 1.0
    tta: ClassVar[Tta] = "none"

    @property
    def spec(self) -> ImageSpec:
        return capabilities.spec_of_images(self.model, "export")


Exportable = TrainedModel | TrainedModule


def export_run(
    run: Path, config: DictConfig, name: str, file: Path, weights: Weights | None, opset: int | None = None
) -> tuple[Exportable, Difference]:
    """Write the network of a run in the format `name`, and beside it the module that reads images for it.

    Raises:
        ExportError: the network cannot be written so, or the file does not compute what the network does.
    """
    network = open_exportable(run, config, weights)
    with open_output(file) as partial:
        content, read = writers.FUNCTIONS[name]
        exported = Exported(network.model, network.tta, network.temperature)
        version = {} if opset is None else {"opset": opset}
        partial.write_bytes(content(exported, export_metadata(network, weights), **version))
        found = difference_from_torch(read(partial), network)
    if not is_stream(file) and decoding_of_network(network):
        write_output(file.with_name(formats.COMPANION), formats.companion_source())
    return network, found


@torch.inference_mode()
def difference_from_torch(read: writers.Network, network: Exportable) -> Difference:
    """The difference between a file and its network on random pixels; ExportError if it is too large."""
    spec, random = network.spec, torch.Generator().manual_seed(0)
    found: Difference = {}
    for count in BATCHES:
        shape = (count, spec.channels, spec.size, spec.size)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
        own, given = torch_outputs(network, pixels), read(pixels)
        names = output_names(network)
        apart: Difference = {}
        for name, mine, theirs in zip(names, own, given, strict=True):
            if theirs.shape != mine.shape:
                raise ExportError(f"the file gives {name} {list(theirs.shape)}, not {list(mine.shape)}: not written")
            apart[name] = float((theirs - mine).abs().max())
        greatest = max(1.0, float(own[0].abs().max()))
        limits = {name: PROBABILITIES if name == "probabilities" else MOST * greatest for name in names}
        if not all(apart[name] <= limits[name] for name in names):  # also of NaN
            raise ExportError(f"the outputs differ from PyTorch's ({describe_difference(apart)}): not written")
        found = {name: max(found.get(name, 0), value) for name, value in apart.items()}
    return found


def describe_difference(apart: Difference) -> str:
    return ", ".join(f"{name} by {value:.1g}" for name, value in apart.items())


def output_names(network: Exportable) -> tuple[str, ...]:
    return OF_CLASSIFIER if isinstance(network, TrainedModel) else OF_OTHERS


def output_shape(network: Exportable) -> str:
    """The shape of the first output, such as [n, 10]."""
    spec = network.spec
    found = torch_outputs(network, torch.zeros(1, spec.channels, spec.size, spec.size, dtype=torch.uint8))[0]
    return f"[{', '.join(['n', *map(str, found.shape[1:])])}]"


@torch.inference_mode()
def torch_outputs(network: Exportable, pixels: Tensor) -> tuple[Tensor, ...]:
    """The outputs of PyTorch for pixels uint8 [n, C, H, W]: see `Exported.forward`."""
    if isinstance(network, TrainedModel):
        logits = network.logits(pixels)
        return logits, network.spec.probabilities(logits)
    found = network.model(network.spec.normalize(pixels))
    if not isinstance(found, Tensor):
        title, kind = capabilities.model_title(network.model), type(found).__name__
        raise ExportError(f"export needs one tensor from forward(images), and {title} gives a {kind}")
    return (found,)


def open_exportable(run: Path, config: DictConfig, weights: Weights | None = None) -> Exportable:
    """The network of a run, on the CPU, in 32 bits."""
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
    """How an image file is decoded for the network; None for data of another kind than images."""
    if not capabilities.is_image_data_type(run_config.types_of_run(network.config)[1]):
        return None
    return trained_model.decoding_of_run(network.config, network.spec)


def export_metadata(network: Exportable, weights: Weights | None) -> dict[str, str]:
    """The metadata in the file, each a text or JSON; no paths or addresses of the run."""
    spec, how, task = network.spec, decoding_of_network(network), getattr(network.model, "label_task", None)
    told: dict[str, Any] = {
        "network": capabilities.model_title(network.model),
        "input": f"pixels: uint8 0..255 [n, {spec.channels}, {spec.size}, {spec.size}] "
        f"({COLOURS.get(spec.channels, 'channels, height, width')})",
        "outputs": f"{', '.join(output_names(network))}: float32 {output_shape(network)}",
        "classes": spec.class_names,
        "multilabel": spec.multilabel,
        **({"thresholds": task.thresholds.tolist()} if isinstance(task, MultiLabel) else {}),
        "channels": spec.channels,
        "image_size": spec.size,
        **({"decoding": how._asdict()} if how else {}),
        "mean": spec.mean,
        "std": spec.std,
        "tta": network.tta,
        **({"temperature": network.temperature} if network.temperature != 1 else {}),
        "run": network.path.resolve().name,
        "weights": trained_model.checkpoint_file(network.path, network.config, weights).stem,
        "epochs": network.epoch,
        "figures": exported_metrics(read_metrics(network.path)),
        "model": OmegaConf.to_container(experiment.model_settings(network.config)[0], resolve=True),
        "labbook": code_version(),
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}


def exported_metrics(metrics: dict[str, Any]) -> dict[str, float]:
    kinds = ("train/", "val/", "test/", "tested_epoch")
    return {
        name: value
        for name, value in metrics.items()
        if name.startswith(kinds) and isinstance(value, (int, float)) and math.isfinite(value)
    }

"""Writes a network to a file that is held against PyTorch before it has its name."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from labbook.errors import ExportError
from labbook.export import companion
from labbook.export.network import Exported, about, opened
from labbook.outputs import is_stream, write, writing
from labbook.trained import Trained, Weights

Network = Callable[[Tensor], tuple[Tensor, Tensor]]  # from pixels to logits and probabilities

BATCHES = (1, 3)  # images
LOGITS, PROBABILITIES = 1e-3, 1e-4  # the most that they may differ, the former relative to the greatest (at least 1)


@dataclass(frozen=True)
class Difference:
    """The greatest between what a file and PyTorch compute."""

    logits: float
    probabilities: float


def export(
    run: Path, config: DictConfig, name: str, file: Path, weights: Weights | None, opset: int | None = None
) -> tuple[Trained, Difference]:
    """Write the network of a run, and beside it the module that reads images for it.

    `name` is that of the format, `opset` the version of ONNX' operators.

    Raises:
        SettingError: see `trained.load`.
        ExportError: the file would not compute what the network does, or the network cannot be written so.
    """
    network = opened(run, config, weights)
    form = import_module(f"labbook.export.{name}")
    with writing(file) as partial:
        exported = Exported(network.model, network.config.task.tta)
        version = {} if opset is None else {"opset": opset}
        partial.write_bytes(form.content(exported, about(network, weights), **version))
        found = difference(form.read(partial), network)
    if not is_stream(file):
        write(file.with_name(companion.NAME), companion.source())
    return network, found


@torch.inference_mode()
def difference(read: Network, network: Trained) -> Difference:
    """How far a file is from its network, on random pixels.

    Raises:
        ExportError: too far.
    """
    spec, random = network.spec, torch.Generator().manual_seed(0)
    found = Difference(0, 0)
    for count in BATCHES:
        shape = (count, spec.channels, spec.size, spec.size)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
        logits = network.logits(pixels)
        given_logits, given_probabilities = read(pixels)
        if given_logits.shape != logits.shape:
            raise ExportError(
                f"the file gives logits {list(given_logits.shape)}, not {list(logits.shape)}: not written"
            )
        apart = float((given_logits - logits).abs().max())
        chances = float((given_probabilities - spec.probabilities(logits)).abs().max())
        most = LOGITS * max(1.0, float(logits.abs().max()))
        if not (apart <= most and chances <= PROBABILITIES):  # nor where one of them is not a number
            raise ExportError(
                f"the file's logits differ from PyTorch's by {apart:.2g}, the probabilities by"
                f" {chances:.2g}: not written"
            )
        found = Difference(max(found.logits, apart), max(found.probabilities, chances))
    return found

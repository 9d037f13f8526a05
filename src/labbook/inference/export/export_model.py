"""Writes a network to a file that is held against PyTorch before it has its name."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from labbook.errors import ExportError
from labbook.inference.export import companion
from labbook.inference.export.wrapped_model import (
    Exportable,
    Exported,
    decoding_of_network,
    export_metadata,
    open_exportable,
    output_names,
    torch_outputs,
    tta_of_network,
)
from labbook.inference.trained_model import Weights
from labbook.runs.outputs import is_stream, open_output, write_output

Network = Callable[[Tensor], tuple[Tensor, ...]]  # from pixels to logits and probabilities, or another output

BATCHES = (1, 3)  # images
MOST = 1e-3  # that an output may differ, relative to the greatest (at least 1)
PROBABILITIES = 1e-4  # the most that these may differ
DIFFER = " differ from PyTorch's by"
Difference = dict[str, float]  # the greatest between what a file and PyTorch compute, by output


def export_run(
    run: Path, config: DictConfig, name: str, file: Path, weights: Weights | None, opset: int | None = None
) -> tuple[Exportable, Difference]:
    """Write the network of a run, and beside it the module that reads images for it.

    `name` is that of the format, `opset` the version of ONNX' operators.

    Raises:
        SettingError: the run has no such weights, or maps no images to outputs.
        ExportError: the file would not compute what the network does, or the network cannot be written so.
    """
    network = open_exportable(run, config, weights)
    form = import_module(f"labbook.inference.export.{name}")
    with open_output(file) as partial:
        exported = Exported(network.model, tta_of_network(network))
        version = {} if opset is None else {"opset": opset}
        partial.write_bytes(getattr(form, f"{name}_content")(exported, export_metadata(network, weights), **version))
        found = difference_from_torch(getattr(form, f"read_{name}")(partial), network)
    if not is_stream(file) and decoding_of_network(network):
        write_output(file.with_name(companion.NAME), companion.companion_source())
    return network, found


@torch.inference_mode()
def difference_from_torch(read: Network, network: Exportable) -> Difference:
    """How far a file is from its network, on random pixels.

    Raises:
        ExportError: too far.
    """
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
        if not all(apart[name] <= limits[name] for name in names):  # nor where one of them is not a number
            words = ", the ".join(f"{name} by {value:.2g}" for name, value in apart.items())
            raise ExportError(f"the file's {words.replace(' by', DIFFER, 1)}: not written")
        found = {name: max(found.get(name, 0), value) for name, value in apart.items()}
    return found

"""The steps of a network as torch records them, from which files are made that need no code of ours."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram

from labbook.errors import ExportError, first_line
from labbook.inference.export.wrapped_model import INPUTS, Exported
from labbook.training import capabilities


@contextmanager
def quiet_torch() -> Iterator[None]:
    """Without what torch and ONNX have to say about each other's changes."""
    with warnings.catch_warnings(action="ignore"):
        yield


def record_graph(network: Exported) -> ExportedProgram:
    """The network for any number of images, without the paths of this machine that torch notes at every step.

    Raises:
        ExportError: a network whose steps depend on what is in the images, or on how many there are.
    """
    spec = network.spec
    pixels = torch.zeros(2, spec.channels, spec.size, spec.size, dtype=torch.uint8)
    try:
        with quiet_torch():
            program = torch.export.export(network, (pixels,), dynamic_shapes={INPUTS[0]: {0: Dim("n")}})
    except Exception as error:  # torch has many
        title = capabilities.model_title(network.network)
        if "Constraints violated" in str(error):
            raise ExportError(
                f"{title} works with one batch size only, because its forward uses it (len(x) fixes it,"
                " x.shape[0] does not); --format=safetensors accepts every network"
            ) from error
        raise ExportError(
            f"torch cannot record the steps of {title} ({first_line(error)}); --format=safetensors accepts every"
            " network"
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program

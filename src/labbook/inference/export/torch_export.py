"""Files of torch.export (.pt2), which torch runs without our code."""

import io
import json
from pathlib import Path

import torch
from torch import Tensor

from labbook.inference.export.export_model import Network
from labbook.inference.export.graph import quiet_torch, record_graph
from labbook.inference.export.wrapped_model import Exported

ABOUT = "labbook.json"


def torch_export_content(network: Exported, about: dict[str, str]) -> bytes:
    """The file."""
    buffer = io.BytesIO()
    with quiet_torch():
        torch.export.save(record_graph(network), buffer, extra_files={ABOUT: json.dumps(about)})
    return buffer.getvalue()


def read_torch_export(file: Path) -> Network:
    """What the file computes. Only for files of our own: a hostile one could have torch run code."""
    with quiet_torch(), file.open("rb") as stream:
        module = torch.export.load(stream).module()

    def network(pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(module(pixels))

    return network

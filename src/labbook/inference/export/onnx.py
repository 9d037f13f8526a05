"""ONNX files, for onnxruntime and whatever else reads them."""

from pathlib import Path

import torch
from torch import Tensor

from labbook.errors import SettingError
from labbook.inference.export.export_model import Network
from labbook.inference.export.graph import quiet_torch, record_graph
from labbook.inference.export.wrapped_model import INPUTS, Exported

LARGEST = 2**31 - 2**20  # bytes of weights: a file of Protocol Buffers holds 2 GiB


def onnx_content(network: Exported, about: dict[str, str], opset: int | None = None) -> bytes:
    """The file; `opset` is the version of ONNX' operators, None: torch's choice.

    With an `opset` the file has the oldest form that holds it, so that older programs read it.

    Raises:
        SettingError: a network larger than a file can be.
    """
    if sum(item.nbytes for item in network.state_dict().values()) > LARGEST:
        raise SettingError("--format=onnx allows at most 2 GiB, and this network is larger: use --format=torch_export")
    with quiet_torch():
        program = torch.onnx.export(
            record_graph(network),
            (),
            dynamo=True,
            verbose=False,
            input_names=INPUTS,
            output_names=network.outputs,
            dynamic_shapes={INPUTS[0]: {0: "n"}},
            opset_version=opset,
        )
        assert program is not None
        model = program.model_proto
    if opset is not None:
        from onnx import helper

        model.ir_version = helper.find_min_ir_version_for(model.opset_import)
    for node in model.graph.node:
        del node.metadata_props[:]  # where in torch and in our files each step was written
    for name, text in about.items():
        model.metadata_props.add(key=name, value=text)
    whole: bytes = model.SerializeToString()
    return whole


def read_onnx(file: Path) -> Network:
    """What the file computes, by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def network(pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(torch.from_numpy, session.run(None, {INPUTS[0]: pixels.numpy()})))

    return network

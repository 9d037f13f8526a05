"""Export formats: each has a function that writes a network and one that reads the file."""

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import PositiveFloat, TypeAdapter, ValidationError
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn.attention import SDPBackend, sdpa_kernel

from labbook.config import instantiate
from labbook.data.image_spec import scale_and_shift
from labbook.errors import ExportError, SettingError, first_line
from labbook.experiment import SUPPLIED
from labbook.inference import trained_model
from labbook.training import capabilities, checkpoint_io, own_modules
from labbook.training.classifier import Task
from labbook.training.losses import BinaryCrossEntropy
from labbook.training.tta import Tta, tta_logits

Network = Callable[[Tensor], tuple[Tensor, ...]]  # from pixels to logits and probabilities, or another output

ABOUT = "labbook.json"  # in a file of torch.export
INPUTS = ("pixels",)
OF_CLASSIFIER, OF_OTHERS = ("logits", "probabilities"), ("outputs",)
LARGEST = 2**31 - 2**20  # bytes of weights in an ONNX file: a file of Protocol Buffers holds 2 GiB


class Exported(nn.Module):
    """A network with normalisation before it, in evaluation mode; a classifier with `task.tta` and probabilities."""

    scale: Tensor  # float32 [C, 1, 1], as the next
    shift: Tensor

    def __init__(self, network: LightningModule, tta: Tta, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.tta, self.temperature = network, tta, temperature
        self.spec = capabilities.spec_of_images(network, "export")
        self.classifies = capabilities.is_classifier(network)
        scale, shift = scale_and_shift(self.spec.mean, self.spec.std, torch.device("cpu"))
        self.register_buffer("scale", scale.view(-1, 1, 1))
        self.register_buffer("shift", shift.view(-1, 1, 1))
        self.eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Pixels uint8 0..255 [n, C, H, W] to logits and probabilities, both float32 [n, classes].

        A network that is no classifier gives what its own `forward` does, [n, ...].
        """
        found = tta_logits(self.network, pixels * self.scale - self.shift, self.tta)
        if self.temperature != 1:
            found = found / self.temperature
        return (found, self.spec.probabilities(found)) if self.classifies else (found,)


def record_graph(network: Exported) -> ExportedProgram:
    """The network as torch.export's graph for any number of images, without paths of this machine."""
    spec = network.spec
    pixels = torch.zeros(2, spec.channels, spec.size, spec.size, dtype=torch.uint8)
    try:
        with warnings.catch_warnings(action="ignore"):
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


# ONNX ---------------------------------------------------------------------------------------------------------------


def onnx_content(network: Exported, about: dict[str, str], opset: int | None = None) -> bytes:
    """An ONNX file with the version `opset` of its operators (None: torch's choice), readable by old programs."""
    if sum(item.nbytes for item in network.state_dict().values()) > LARGEST:
        raise SettingError("--format=onnx allows at most 2 GiB, and this network is larger: use --format=torch_export")
    # torch cannot divide its fused attention with a mask into operators of ONNX.
    with warnings.catch_warnings(action="ignore"), sdpa_kernel(SDPBackend.MATH):
        program = torch.onnx.export(
            record_graph(network),
            (),
            dynamo=True,
            verbose=False,
            input_names=INPUTS,
            output_names=OF_CLASSIFIER if network.classifies else OF_OTHERS,
            dynamic_shapes={INPUTS[0]: {0: "n"}},
            opset_version=opset,
        )
        assert program is not None
        model = program.model_proto
    if opset is not None:
        from onnx import helper

        model.ir_version = helper.find_min_ir_version_for(model.opset_import)
    for node in model.graph.node:
        del node.metadata_props[:]  # source lines
    for name, text in about.items():
        model.metadata_props.add(key=name, value=text)
    whole: bytes = model.SerializeToString()
    return whole


def read_onnx(file: Path) -> Network:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def network(pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(torch.from_numpy, session.run(None, {INPUTS[0]: pixels.numpy()})))

    return network


# torch.export (.pt2) ---------------------------------------------------------------------------------------------


def torch_export_content(network: Exported, about: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.export.save(record_graph(network), buffer, extra_files={ABOUT: json.dumps(about)})
    return buffer.getvalue()


def read_torch_export(file: Path) -> Network:
    """Only for files that this program wrote: torch could run code from other files."""
    with warnings.catch_warnings(action="ignore"), file.open("rb") as stream:
        module = torch.export.load(stream).module()

    def network(pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(module(pixels))

    return network


# safetensors ---------------------------------------------------------------------------------------------------------


def safetensors_content(network: Exported, about: dict[str, str]) -> bytes:
    """A safetensors file; the weights have the names of a checkpoint."""
    from safetensors.torch import save

    weights = network.network.state_dict()
    plain = {name: item.clone(memory_format=torch.contiguous_format) for name, item in weights.items()}
    written: bytes = save(plain, about)
    return written


def read_safetensors(file: Path) -> Exported:
    """The network, created from the metadata of the file, whose settings are checked like those of a configuration."""
    weights, about = safetensors_parts(file)
    try:
        told = {name: json.loads(about[name]) for name in ("channels", "classes", "image_size", "mean", "std", "model")}
        tta = TypeAdapter(Tta).validate_python(about["tta"])
        temperature = TypeAdapter(PositiveFloat).validate_python(about.get("temperature", "1"))
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
    return Exported(model, tta, temperature)


def safetensors_parts(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - is no mapping
            return weights, opened.metadata() or {}
    except FileNotFoundError as error:
        raise SettingError(f"there is no file {file}") from error
    except SafetensorError as error:
        raise SettingError(f"{file} is damaged, or not a safetensors file") from error


# By the name of a format: the content of a file with a network and its metadata, and the network of a file.
FUNCTIONS: dict[str, tuple[Callable[..., bytes], Callable[[Path], Network]]] = {
    "onnx": (onnx_content, read_onnx),
    "torch_export": (torch_export_content, read_torch_export),
    "safetensors": (safetensors_content, read_safetensors),
}

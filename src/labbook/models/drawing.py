"""Draw a network: layers with kernel, stride, parameters and shapes, with torchview and Graphviz."""

import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from pytorch_lightning import LightningModule
from torch import nn
from torchview import ComputationGraph, draw_graph
from torchview.computation_node import ModuleNode

from labbook.errors import SettingError, list_choices
from labbook.training.probe import dummy_input, eval_mode

SOURCE = "gv"  # Graphviz' own language; needs no program
FORMATS = ("svg", "png", "pdf", SOURCE)
MOST = 60  # boxes in a readable picture
FONT = "Helvetica"  # a font that most viewers have
DEFAULTS = {"padding": 0, "dilation": 1, "groups": 1}  # of convolutions and poolings
DOTS = "96"  # of a PNG, per inch


def draw_model(model: LightningModule, kind: str, depth: int | None = None) -> bytes:
    """Draw a network as one of `FORMATS`.

    Modules deeper than `depth` are drawn as one box; None goes as deep as `MOST` boxes allow. The network and the
    random state do not change.

    Raises:
        SettingError: another format, or one that needs Graphviz where it is not installed.
    """
    if kind not in FORMATS:
        raise SettingError(f"a drawing cannot be written as .{kind}; {list_choices(kind, FORMATS)}")
    if kind != SOURCE and shutil.which("dot") is None:
        raise SettingError(
            "a drawing needs Graphviz, and its program dot is missing: apt-get install graphviz (Debian, Ubuntu),"
            " brew install graphviz (macOS) or winget install graphviz (Windows)"
        )
    graph = trace_graph(model, depth) if depth else readable_graph(model)
    picture = graph.visual_graph
    picture.body = [annotate_boxes("".join(picture.body), modules_by_box(graph, model))]
    picture.graph_attr.update(fontname=FONT, dpi=DOTS if kind == "png" else "72")
    picture.node_attr.update(fontname=FONT)
    return picture.source.encode() if kind == SOURCE else bytes(picture.pipe(format=kind))


def modules_by_box(graph: ComputationGraph, model: LightningModule) -> dict[str, nn.Module]:
    """The module of each box, by the number of the box; functions have none."""
    modules = {id(module): module for module in model.modules()}
    boxes = (node for node in flatten_nodes(graph.node_hierarchy) if isinstance(node, ModuleNode))
    boxes = (node for node in boxes if node.node_id in graph.id_dict and node.compute_unit_id in modules)
    return {str(graph.id_dict[node.node_id]): modules[node.compute_unit_id] for node in boxes}


def flatten_nodes(tree: Any) -> Iterator[Any]:
    if isinstance(tree, (dict, list)):
        for each in tree:
            yield from flatten_nodes(each)
        if isinstance(tree, dict):
            for inside in tree.values():
                yield from flatten_nodes(inside)
    else:
        yield tree


def annotate_boxes(source: str, modules: Mapping[str, nn.Module]) -> str:
    """Boxes in Graphviz' language with a line about their modules, without their depth."""

    def box(found: re.Match[str]) -> str:
        line = layer_details(modules[found["number"]]) if found["number"] in modules else ""
        row = f'<TR><TD COLSPAN="5">{line}</TD></TR>' if line else ""
        return f"{found['number']} [label=<{found['name']}{found['rest']}{row}</TABLE>"

    pattern = r"(?P<number>\d+) \[label=<(?P<name>.*?)<BR/>depth:\d+(?P<rest>.*?)</TABLE>"
    return re.sub(pattern, box, source, flags=re.DOTALL)


def layer_details(module: nn.Module) -> str:
    """Kernel, stride and other settings of a convolution or pooling, and its parameters."""
    said = []
    if kernel := getattr(module, "kernel_size", None):
        stride = getattr(module, "stride", kernel)
        said += [" x ".join(map(str, down_and_across(kernel))), f"stride {format_size(stride)}"]
        others = ((name, getattr(module, name, default), default) for name, default in DEFAULTS.items())
        said += [
            f"{name} {format_size(value)}"
            for name, value, default in others
            if down_and_across(value) != down_and_across(default)
        ]
    if count := sum(item.numel() for item in module.parameters()):
        said.append(f"{count:,} parameters")
    return ", ".join(said)


def down_and_across(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value, value)


def format_size(value: object) -> str:
    return " x ".join(dict.fromkeys(map(str, down_and_across(value))))


def readable_graph(model: LightningModule) -> ComputationGraph:
    """The graph of one image, with as much detail as `MOST` boxes allow."""
    deepest = max(name.count(".") + 1 for name, _ in model.named_modules())
    graph = trace_graph(model, 1)
    for depth in range(2, deepest + 1):
        deeper = trace_graph(model, depth)
        if len(deeper.node_set) > MOST:
            break
        graph = deeper
    return graph


def trace_graph(model: LightningModule, depth: int) -> ComputationGraph:
    image = dummy_input(model, "a drawing")
    with eval_mode(model):
        return draw_graph(model, input_data=image, device=model.device, depth=depth, expand_nested=True)

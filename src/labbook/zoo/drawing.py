"""A network as a picture: its layers with the shapes that go in and come out, by torchview and Graphviz."""

import re
import shutil

from torchview import ComputationGraph, draw_graph

from labbook.errors import SettingError, choices
from labbook.models.classifier import Classifier
from labbook.zoo.probe import at_rest, blank

SOURCE = "gv"  # Graphviz' own language, which needs no program to write
FORMATS = ("svg", "png", "pdf", SOURCE)
MOST = 60  # boxes, beyond which a picture is not taken in at once
FONT = "Helvetica"  # which every viewer has, or something like it
DOTS = "96"  # of a PNG, an inch


def draw(model: Classifier, kind: str, depth: int | None = None) -> bytes:
    """The picture as one of `FORMATS`.

    What lies deeper than `depth` in the network is drawn as one box; None goes as deep as `MOST` boxes allow. The
    network and all random numbers stay as they are.

    Raises:
        SettingError: another format, or one that needs Graphviz where there is none.
    """
    if kind not in FORMATS:
        raise SettingError(f"a drawing cannot be written as .{kind}; {choices(kind, FORMATS)}")
    if kind != SOURCE and shutil.which("dot") is None:
        raise SettingError(
            "a drawing needs Graphviz, whose program dot is not here: apt-get install graphviz (Debian, Ubuntu),"
            " brew install graphviz (macOS) or winget install graphviz (Windows)"
        )
    picture = (traced(model, depth) if depth else readable(model)).visual_graph
    picture.body = [re.sub(r"<BR/>depth:\d+", "", line) for line in picture.body]
    picture.graph_attr.update(fontname=FONT, dpi=DOTS if kind == "png" else "72")
    picture.node_attr.update(fontname=FONT)
    return picture.source.encode() if kind == SOURCE else bytes(picture.pipe(format=kind))


def readable(model: Classifier) -> ComputationGraph:
    """What happens to one image, in as much detail as there are at most `MOST` boxes for."""
    deepest = max(name.count(".") + 1 for name, _ in model.named_modules())
    graph = traced(model, 1)
    for depth in range(2, deepest + 1):
        deeper = traced(model, depth)
        if len(deeper.node_set) > MOST:
            break
        graph = deeper
    return graph


def traced(model: Classifier, depth: int) -> ComputationGraph:
    """What happens to one image, with one box for what lies deeper."""
    with at_rest(model):
        return draw_graph(model, input_data=blank(model), device=model.device, depth=depth, expand_nested=True)

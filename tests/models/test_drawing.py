"""Pictures of networks: every layer is in them, and drawing leaves no trace."""

import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from labbook.callbacks.pictures import draw_network
from labbook.cli.commands import draw
from labbook.errors import SettingError
from labbook.models import drawing
from labbook.models.lenet5 import LeNet5
from labbook.models.resnet import ResNet
from labbook.training.classifier import Classifier
from labbook.training.probe import dummy_input
from tests.composing import composed
from tests.models.conftest import Small, spec_of

needs_graphviz = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


def boxes(model: Classifier, depth: int | None = None) -> list[tuple[str, ...]]:
    """What is written into each box: the layer, and its shapes."""
    source = drawing.draw_model(model, "gv", depth).decode()
    tables = re.findall(r"<TABLE.*?</TABLE>", source, re.DOTALL)
    return [tuple(text.strip() for text in re.findall(r"<TD[^>]*>(.*?)</TD>", table)) for table in tables]


def layers(model: Classifier) -> list[tuple[str, ...]]:
    """What the boxes of all layers are to hold, found by hooks."""
    found: list[tuple[str, ...]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shapes = (str(tuple(item.shape)) for item in (inputs[0], output))
        found.append((type(layer).__name__, "input:", next(shapes), "output:", next(shapes)))

    def note_all(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        note(layer, inputs, output)
        if line := drawing.layer_details(layer):
            found[-1] = (*found[-1], line)

    hooks = [layer.register_forward_hook(note_all) for layer in model.modules() if not list(layer.children())]
    model.eval()(dummy_input(model))
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("model", [LeNet5(spec_of(1, 28)), Small(), ResNet(spec_of(3, 32), depth=8)], ids=str)
def test_every_layer_is_drawn_with_its_shapes(model: Classifier) -> None:
    drawn = boxes(model)
    wanted = layers(model)
    assert len(wanted) > 3
    assert [box for box in drawn if box in wanted] == wanted
    assert drawn[0] == ("input-tensor", str(tuple(dummy_input(model).shape)))
    assert drawn[-1] == ("output-tensor", "(1, 10)")


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (nn.Conv2d(3, 8, 5, stride=2, padding=2), "5 x 5, stride 2, padding 2, 608 parameters"),
        (nn.Conv2d(4, 4, (1, 3), (2, 1), padding=(0, 1), groups=4, bias=False),
         "1 x 3, stride 2 x 1, padding 0 x 1, groups 4, 12 parameters"),
        (nn.MaxPool2d(2), "2 x 2, stride 2"),
        (nn.Linear(10, 2), "22 parameters"),
        (nn.ReLU(), ""),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_said_of_a_layer(module: nn.Module, line: str) -> None:
    assert drawing.layer_details(module) == line


def test_boxes_say_kernel_stride_and_parameters() -> None:
    assert boxes(LeNet5(spec_of(1, 28)))[1][-1] == "5 x 5, stride 1, padding 2, 156 parameters"


def test_a_large_network_is_folded_into_its_blocks_unless_asked_otherwise() -> None:
    model = ResNet(spec_of(3, 32), depth=32)
    folded = boxes(model)
    assert len(folded) <= drawing.MOST
    assert sum(box[0] == "ResidualBlock" for box in folded) == 15
    assert sum(box[0] == "Conv2d" for box in boxes(model, 4)) == 31
    assert [box[0] for box in boxes(model, 1)] == [
        "input-tensor", "Sequential", "Sequential", "mean", "Linear", "output-tensor",
    ]  # fmt: skip


def test_drawing_changes_neither_the_network_nor_what_is_drawn_at_random_next(small: Small) -> None:
    small.norm.eval()
    before = {name: item.clone() for name, item in small.state_dict().items()}
    random = torch.get_rng_state()
    first = drawing.draw_model(small, "gv")
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(item, before[name]) for name, item in small.state_dict().items())
    assert [module.training for module in (small, small.conv, small.norm)] == [True, True, False]
    assert drawing.draw_model(small, "gv") == first
    assert type(small(torch.rand(2, 3, 8, 8))) is Tensor


@needs_graphviz
def test_pictures_are_whole(small: Small) -> None:
    svg = ElementTree.fromstring(drawing.draw_model(small, "svg"))
    texts = [(item.text or "").strip() for item in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Conv2d", "(1, 5, 6, 6)", "BatchNorm2d", "Linear", "(1, 10)"} <= set(texts)
    assert drawing.draw_model(small, "png").startswith(b"\x89PNG")
    assert drawing.draw_model(small, "pdf").startswith(b"%PDF")


def test_without_graphviz_there_is_a_sentence_and_a_run_has_no_drawing(
    small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SettingError, match=r"needs Graphviz.* apt-get install graphviz \(Debian, Ubuntu\), brew"):
        drawing.draw_model(small, "svg")
    assert drawing.draw_model(small, "gv").startswith(b"strict digraph")
    draw_network(small, tmp_path / "network.svg")
    assert list(tmp_path.iterdir()) == []


def test_without_torchview_a_run_has_no_drawing(small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "labbook.models.drawing")
    monkeypatch.setitem(sys.modules, "torchview", None)
    draw_network(small, tmp_path / "network.svg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--figure", "a.jpeg"], "a drawing cannot be written as .jpeg; choices: gv, pdf, png, svg"),
        (["--figure", "a.pngg"], "a drawing cannot be written as .pngg; did you mean png?"),
        (["--depth", "0"], "--depth must be at least 1"),
        (["model=alexnet", "data.image_size=8"], "AlexNet needs images of at least 15 pixels"),
        (["--figure", f"{__file__}/a.gv"], "cannot write "),
        (["model=mpl"], "model=mpl is unknown; did you mean mlp?"),
        (["mpl"], "model=mpl is unknown; did you mean mlp?"),
        (["mlp", "lenet5"], "mlp, lenet5: only one network can be drawn"),
        (["logs/runs/NAME"], "logs/runs/NAME is not a run folder: it has no config.yaml"),
        (["mlp", "model=lenet5"], "mlp, lenet5: only one network can be drawn"),
    ],
)
def test_refusals(
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["draw.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        draw.main()
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_script_writes_where_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["draw.py", "lenet5", "data=mnist", "--figure", "figures/lenet5.gv"])
    draw.main()
    assert capsys.readouterr().out == f"drawing: {Path('figures/lenet5.gv')}\n"
    assert "(1, 16, 5, 5)" in Path("figures/lenet5.gv").read_text()


def test_the_script_draws_the_network_of_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = composed("model=mlp", "model.width=7")
    kept = {key: value for key, value in config.items() if key not in ("sweep", "seeds")}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(kept), resolve=True))
    monkeypatch.setattr(sys, "argv", ["draw.py", "run", "--figure", "run.gv"])
    draw.main()
    assert "(1, 7)" in Path("run.gv").read_text()

"""The examples of the pages that are no commands: a notebook, a network, a data set, a preset; and the first figure."""

import ast
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from labbook.api import start
from tests.conftest import Command
from tests.docs.pages import PAGES, blocks

FEW = ("data.limit=60", "epochs=1", "callbacks=none")


def example(language: str, part: str) -> str:
    """The one block of code of all pages with this in it."""
    (found,) = [block for page in PAGES.values() for block in blocks(language, page) if part in block]
    return found


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if blocks("python", page)])
def test_examples_in_python_import_what_there_is(name: str) -> None:
    for block in blocks("python", PAGES[name]):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "labbook":
                module = import_module(str(node.module))
                for item in node.names:
                    assert hasattr(module, item.name) or import_module(f"{node.module}.{item.name}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*smaller than the logging interval")
def test_the_page_of_python_works(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its blocks one after the other, with fewer images."""
    whole = start.override_arguments

    def less(overrides: tuple[str, ...], settings: dict[str, Any], swept: bool = False) -> list[str]:
        resumed = "resume" in settings
        return [*whole(overrides, settings, swept), *([] if resumed else ["data.limit=60", "callbacks=none"])]

    monkeypatch.setattr(start, "override_arguments", less)
    names: dict[str, Any] = {}
    for block in blocks("python", PAGES["docs/python.md"]):
        exec(compile(block, "notebook", "exec"), names)
    assert len(names["run"].history["epoch"]) == 3
    assert len(names["result"].runs) == 4
    assert "Metrics(loss=" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "name"), [("model", "linear"), ("data", "noise")])
def test_what_the_pages_add_works(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, name: str
) -> None:
    package = "models" if kind == "model" else kind
    module = import_module(f"labbook.{package}")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / f"{name}.py").write_text(example("python", f"class {name.capitalize()}("))
    monkeypatch.setattr(module, "__path__", [*module.__path__, str(tmp_path / "package")])
    (tmp_path / "more" / kind).mkdir(parents=True)
    (tmp_path / "more" / kind / f"{name}.yaml").write_text(example("yaml", f"labbook.{package}.{name}."))
    other = "model=mlp" if kind == "data" else "data=digits"
    try:
        ended = labbook(f"{kind}={name}", other, *FEW, f"hydra.searchpath=[file://{tmp_path / 'more'}]")
    finally:
        sys.modules.pop(f"labbook.{package}.{name}", None)
    assert ended.code == 0, ended.err


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_preset_like_the_documented_one_works(labbook: Command, tmp_path: Path) -> None:
    (tmp_path / "more" / "sweep").mkdir(parents=True)
    (tmp_path / "more" / "sweep" / "mine.yaml").write_text(example("yaml", "my lab"))
    ended = labbook("-m", "--config-dir=more", "sweep=mine", *FEW)
    assert ended.code == 0, ended.err
    assert ended.run.name == "mine_epochs-1_limit-60"
    assert "0.9000" in ended.out  # the published figure, in the table


@pytest.mark.slow
def test_the_first_command_reaches_its_accuracy(labbook: Command) -> None:
    ended = labbook()
    accuracy = re.search(r"^test .* acc (\S+)", ended.out, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.97

"""The notebook: short, without outputs, from the address of the project; and run whole in a kernel."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.data.samples import images, photograph, write_mnist
from tests.docs.pages import PAGES, ROOT

NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
CONTENT: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]

# Runs the notebook in this Python. Its calls get settings for fewer images and epochs, by a cell before the others.
RUN = """
import sys
import nbformat
from nbclient import NotebookClient

book = nbformat.read(sys.argv[1], as_version=4)
book.cells.insert(0, nbformat.v4.new_code_cell(sys.argv[2]))
NotebookClient(book, timeout=300, kernel_name="python3").execute()
nbformat.write(book, sys.argv[3])
"""
LESS = """
from labbook.api import start

whole = start.override_arguments

def less(overrides, settings, swept=False):
    if "resume" in settings:
        return whole(overrides, settings, swept)
    return whole(overrides, settings | {"epochs": 1}, swept) + ["data.limit=60", "callbacks.pictures=null"]

start.override_arguments = less
"""


def sources() -> str:
    return "\n".join("".join(cell["source"]) for cell in CONTENT["cells"])


def test_the_notebook_is_short_and_has_no_outputs() -> None:
    assert len(CONTENT["cells"]) <= 12
    assert not [cell for cell in CONTENT["cells"] if cell.get("outputs") or cell.get("execution_count")]


def test_the_address_of_the_project_is_that_of_its_package() -> None:
    there = re.findall(
        r"https://(?:colab\.research\.google\.com/github|github\.com)/([\w-]+/[\w-]+)", sources() + PAGES["README.md"]
    )
    assert set(there) == {ADDRESS.removeprefix("https://github.com/")}
    assert len(there) == 3
    assert f"/blob/main/{NOTEBOOK.relative_to(ROOT)}" in PAGES["README.md"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("nbclient") is None, reason="needs the extra: notebook")
def test_the_notebook_runs(tmp_path: Path) -> None:
    kernel = tmp_path / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": start, "display_name": "this Python", "language": "python"}))
    write_mnist(tmp_path / "data" / "MNIST" / "raw", images(80, 1, 28, 10), images(80, 1, 28, 10, seed=1))
    photograph(tmp_path / "my_digit.png", size=(28, 28))
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, NOTEBOOK, LESS, "done.ipynb"],
        cwd=tmp_path, env={**os.environ, "JUPYTER_PATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    cells = json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert kinds.count("image/png") == 2  # curves
    assert "<iframe srcdoc" in json.dumps(outputs)  # the report
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert "my_digit.png" in json.dumps(cells[-1]["outputs"])
    assert len(list((tmp_path / "logs" / "kept" / "runs").iterdir())) == 1

"""A sweep's table on the terminal, as CSV and as Markdown, and the script that prints it."""

import csv
import io
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from labbook.cli.commands import report
from labbook.errors import SettingError
from labbook.reports import sweep_page, table_cells, tables
from tests.conftest import Command
from tests.reports.made_sweeps import figures_of, in_memory, make_grid, mark

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    return make_grid(tmp_path)


def test_csv_has_raw_numbers(grid: Path) -> None:
    sweep_page.write_report(grid)
    rows = list(csv.DictReader((grid / "summary.csv").read_text().splitlines()))
    assert len(rows) == 6
    best = rows[0]
    assert (best["model.depth"], best["model.activation"], best["runs"], best["finished"]) == ("4", "relu", "2", "2")
    assert float(best["val/acc"]) == pytest.approx(0.885)
    assert float(best["val/acc sd"]) == pytest.approx(statistics.stdev([0.88, 0.89]))
    assert best["val/acc published"] == best["system"] == ""
    theirs = next(row for row in rows if row["system"] == "E3")
    assert float(theirs["val/acc published"]) == 0.9
    assert float(theirs["val/acc difference"]) == pytest.approx(0.845 - 0.9)
    alone = next(row for row in rows if (row["model.depth"], row["model.activation"]) == ("4", "sigmoid"))
    assert (alone["finished"], alone["val/acc sd"]) == ("1", "")


def test_markdown_says_what_one_must_know(grid: Path) -> None:
    for run in grid.glob("*/metrics.json"):
        told = {"hardware": "CPU (Some Make), 32-true", "versions": "Python 3, torch 9"}
        run.write_text(json.dumps(json.loads(run.read_text()) | told))
    sweep_page.write_report(grid)
    text = (grid / "summary.md").read_text()
    assert "| 4 | relu | 2 | 0.8850 ± 0.0071 |" in text
    assert "| 0.9000 (-0.0550) | 12.5 (-2.5) |" in text
    assert "- n: 1 to 2 finished runs per combination" in text
    assert "- hardware: CPU (Some Make), 32-true" in text
    assert "- libraries: Python 3, torch 9" in text
    assert "- code: 1.0 (11)" in text
    assert "- constant: model=mlp data=digits optimizer=adam epochs=3" in text
    assert "    python train.py -m a=1,2\n" in text


def test_metrics_of_torchmetrics_have_columns(grid: Path) -> None:
    run = next(file for file in sorted(grid.glob("*/metrics.json")) if "val/acc" in json.loads(file.read_text()))
    run.write_text(json.dumps(json.loads(run.read_text()) | {"test/f1": 0.625, "test/loss": 0.25}))
    sweep_page.write_report(grid)
    (told,) = {row["test/f1"] for row in csv.DictReader((grid / "summary.csv").read_text().splitlines())} - {""}
    assert float(told) == 0.625
    head = next(line for line in (grid / "summary.md").read_text().splitlines() if line.startswith("| depth"))
    assert "test f1" in head
    assert "test loss" not in head


@given(st.integers(1, 12), st.integers(20, 140))
def test_terminal_table_fits(columns: int, width: int) -> None:
    names = [f"model.setting{index}" for index in range(columns)]
    runs = [(dict.fromkeys(names, f"{'v' * 9}{value}"), figures_of(0.5)) for value in range(3)]
    report = in_memory(runs, names)
    out = io.StringIO()
    Console(width=width, file=out).print(tables.terminal_table(report, width))
    lines = out.getvalue().splitlines()
    assert len(lines) == 1 + 3
    assert all(len(line) <= width for line in lines)
    assert "setting0" in lines[0] or width < 30


def test_the_least_important_columns_go_first() -> None:
    heads = [table_cells.Heading(name, True, importance, name) for name, importance in (("a", 9), ("b", 1), ("c", 5))]
    assert tables.fitting_columns(heads, [10, 10, 10], 34) == [0, 1, 2]
    assert tables.fitting_columns(heads, [10, 10, 10], 33) == [0, 2]
    assert tables.fitting_columns(heads, [10, 10, 10], 5) == [0, 2]


@pytest.fixture
def reported(script: Callable[[ModuleType], Command]) -> Command:
    return script(report)


@pytest.mark.slow
def test_script_prints_the_table(grid: Path, reported: Command) -> None:
    ended = reported(str(grid), str(grid))
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert len(lines) % 2 == 0
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    assert lines[0].split()[:3] == ["depth", "activation", "n"]
    assert lines[1].split()[:3] == ["4", "relu", "2"]
    assert "12 runs: 11 finished, 1 failed" in lines
    failure = lines.index(f"failed: {grid}/4_sigmoid_1")
    assert lines[failure + 1] == "  TrainingError: the loss became nan"
    assert lines[failure + 2] == f"  traceback: {grid}/4_sigmoid_1/train.log"
    assert lines[-1] == f"report: {grid}/report.html"


def _no_mark(folder: Path) -> None:
    (folder / "sweep.json").unlink()


def _torn(folder: Path) -> None:
    (folder / "sweep.json").write_text("{")


def _gone(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (_no_mark, "s was not made by a sweep: its sweep.json is not there"),
        (_torn, "s was not made by a sweep: its sweep.json cannot be read"),
        (_gone, "s is not a folder: use one in logs/sweeps"),
    ],
)
def test_refusals(tmp_path: Path, reported: Command, harm: Callable[[Path], None], sentence: str) -> None:
    folder = mark(tmp_path / "s", [])
    harm(folder)
    ended = reported(str(folder))
    assert ended.code == 2
    assert ended.sentence.endswith(sentence)
    with pytest.raises(SettingError):
        sweep_page.write_report(folder)


@pytest.mark.slow
def test_script_needs_no_torch(grid: Path) -> None:
    program = (
        "import runpy, sys; runpy.run_path('scripts/report.py', run_name='__main__'); print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(grid)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stdout.splitlines()[-1] == "False"

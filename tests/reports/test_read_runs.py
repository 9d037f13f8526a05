"""What a report takes from run folders in any state, and from metrics.csv."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labbook.reports import curves, gradients, read_runs, svg_charts, sweep_page, table_cells, tables
from labbook.reports.grouping import group_runs
from labbook.reports.read_runs import RunRecord
from labbook.runs import locks
from tests.reports.made_sweeps import SETTINGS, add_run, figures_of, make_grid, mark, table_of


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    return make_grid(tmp_path)


def test_states(tmp_path: Path) -> None:
    sweep = mark(tmp_path / "s", ["epochs"])
    add_run(sweep, "new", {"epochs": 1})
    add_run(sweep, "killed", {"epochs": 2}, {"status": "running"})
    add_run(sweep, "busy", {"epochs": 3}, {"status": "running"})
    (add_run(sweep, "torn", {"epochs": 4}) / "metrics.json").write_text('{"val/acc": 0.')
    (add_run(sweep, "binary", {"epochs": 5}, figures_of(0.5)) / "config.yaml").write_bytes(b"\xff\x00: [")
    (add_run(sweep, "bare", {"epochs": 6}, figures_of(0.5)) / "config.yaml").unlink()
    (sweep / ".hidden").mkdir()
    (sweep / ".hidden" / "metrics.json").write_text("{}")
    (sweep / "notes").mkdir()
    with locks.run_lock(sweep, "busy") as ours:
        assert ours
        runs = read_runs.read_sweep(sweep).runs
    assert {run.path.name: run.state for run in runs} == {
        "new": "new",
        "killed": "interrupted",
        "busy": "running",
        "torn": "damaged",
        "binary": "damaged",
        "bare": "damaged",
    }
    report = sweep_page.write_report(sweep)
    assert table_cells.tally_runs(report) == "6 runs: 2 interrupted, 1 new, 3 damaged"
    assert len(report.rows) == 4  # two have no legible settings


@pytest.mark.parametrize(
    "table", ["", "epoch,val/acc\n", "epoch,val/acc\n1,0.5\n2", "epoch,val/acc\n1,\n2,x\n", "\x00\n1", "epoch\n1\n"]
)
def test_damaged_tables(tmp_path: Path, table: str) -> None:
    sweep = mark(tmp_path / "s", [])
    add_run(sweep, "a", {}, figures_of(0.5), table)
    assert table_cells.tally_runs(sweep_page.write_report(sweep)) == "1 run: 1 finished"


@given(st.binary(max_size=40))
def test_any_bytes_are_read_as_far_as_they_go(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    sweep = mark(tmp_path_factory.mktemp("bytes") / "s", [])
    for name in ("config.yaml", "metrics.json", "metrics.csv"):
        folder = add_run(sweep, name, {}, figures_of(0.5), table_of(0.5))
        (folder / name).write_bytes(content)
    runs = read_runs.read_sweep(sweep).runs
    assert {run.path.name for run in runs} == {"config.yaml", "metrics.json", "metrics.csv"}
    group_runs(read_runs.read_sweep(sweep))


@pytest.mark.parametrize(
    "matrix", [None, [], [[1, 2]], [[1, 2], [3]], "words", [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[0, 0], [0, 0]]]
)
def test_damaged_matrices(tmp_path: Path, matrix: Any) -> None:
    sweep = mark(tmp_path / "s", [])
    add_run(sweep, "a", {}, figures_of(0.5, **{"test/confusion_matrix": matrix}))
    sweep_page.write_report(sweep)
    drawn = "Confusion matrix" in (sweep / sweep_page.PAGE).read_text()
    assert drawn == (matrix == [[0, 0], [0, 0]])


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=6), min_size=1, max_size=4))
def test_curves_are_means_by_epoch(runs: list[list[float]]) -> None:
    made = [
        RunRecord(
            Path("x"), "finished", {}, {}, {"epoch": np.arange(1.0, len(run) + 1), "val/acc": np.array(run)}, 0, 0
        )
        for run in runs
    ]
    found = curves.mean_curve(made, "val/acc")
    assert found is not None
    epochs, means, spreads = found
    assert epochs.tolist() == list(range(1, max(map(len, runs)) + 1))
    for index in range(len(epochs)):
        values = [run[index] for run in runs if len(run) > index]
        assert means[index] == pytest.approx(np.mean(values))
        if spreads is not None:
            assert spreads[index] == pytest.approx(np.std(values, ddof=1) if len(values) > 1 else 0.0, abs=1e-9)
    assert (spreads is None) == (len(runs) == 1)


def test_a_diverged_epoch_is_left_out_of_the_curve() -> None:
    table = {"epoch": np.array([1.0, 2.0]), "val/loss": np.array([0.5, math.nan])}
    found = curves.mean_curve([RunRecord(Path("x"), "failed", {}, {}, table, 0, 0)], "val/loss")
    assert found is not None
    assert found[0].tolist() == [1.0]
    assert curves.mean_curve([RunRecord(Path("x"), "failed", {}, {}, table, 0, 0)], "val/acc") is None


@pytest.mark.parametrize(
    ("values", "numeric", "log"),
    [((1, 2, 30), True, False), ((1, 2, 31), True, True), ((0, 1, 99), True, False), ((1, "a"), False, False)],
)
def test_scale_of_an_axis(values: tuple[Any, ...], numeric: bool, log: bool) -> None:
    scale = svg_charts.Scale(values)
    assert (scale.numeric, scale.log) == (numeric, log)
    assert [scale.index(value) for value in values] == list(range(len(values)))


def test_gradients_by_layer(grid: Path) -> None:
    report = group_runs(read_runs.read_sweep(grid))
    row = next(row for row in report.rows if row.values == (4, "relu"))
    assert gradients.mean_norms(row) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ODD = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.text(max_size=3), PLAIN, max_size=2)


@given(
    st.dictionaries(st.sampled_from(list(SETTINGS)), ODD, max_size=3),
    st.dictionaries(st.sampled_from(list(figures_of(0.5))), ODD, max_size=3),
)
@pytest.mark.slow
def test_odd_values_are_no_reason_to_fail(settings: dict[str, Any], metrics: dict[str, Any]) -> None:
    runs = [RunRecord(Path("odd"), "finished", SETTINGS | settings, figures_of(0.5) | metrics, {}, 1.0, 1.0)]
    runs.append(RunRecord(Path("plain"), "finished", SETTINGS, figures_of(0.6), {}, 1.0, 1.0))
    report = group_runs(read_runs.SweepRecord(Path("sweep"), (), (), "val/acc", 0, tuple(runs)))
    assert sum(len(row.runs) for row in report.rows) == 2
    assert "2 runs: 2 finished" in tables.table_as_markdown(report)
    assert len(list(csv.DictReader(tables.table_as_csv(report).splitlines()))) >= 1

"""Runs compared, of folders made up on the spot and as the program says it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from labbook.cli.commands import compare
from labbook.errors import SettingError
from labbook.inference.evaluate.predictions import Predictions
from labbook.reports import comparison
from labbook.reports.comparison import load_runs, summary
from labbook.reports.comparison.pairwise import Pair, pairs_of
from labbook.reports.comparison.tables import Sheet, significance_sheet
from tests.conftest import Command
from tests.reports.made_sweeps import add_run, figures_of, table_of
from tests.reports.test_sweep_page import Page

WHOLE = {
    "data._target_": "labbook.data.digits.Digits",
    "trainer._target_": "pytorch_lightning.Trainer",
    "trainer.precision": "auto",
}
DEEP = {
    "model.depth": 4,
    "seed": 1,
    "callbacks.progress._target_": "labbook.callbacks.Progress",
    "callbacks.progress.bar": True,
}
LABELS = [0, 1] * 20


def answered(wrong: range, test_set: str = "abc") -> Predictions:
    """Right but for the images in a range."""
    predicted = [1 - label if place in wrong else label for place, label in enumerate(LABELS)]
    return Predictions(test_set, np.array(LABELS), np.array(predicted))


def keep(answers: Predictions, run: Path) -> None:
    """Write them as runs of older versions did."""
    rows = zip(answers.labels.tolist(), answers.predicted.tolist(), strict=True)
    lines = [f"{image},{label},{predicted}\n" for image, (label, predicted) in enumerate(rows)]
    (run / "test_predictions.csv").write_text(f"image,label,predicted\n{''.join(lines)}")


def add(folder: Path, name: str, wrong: range | None, settings: dict[str, Any] | None = None, **metrics: Any) -> Path:
    """A run's folder, with its answers unless `wrong` is None."""
    told = {"test_set": "abc", "hardware": "CPU"} | metrics
    run = add_run(folder, name, WHOLE | (settings or {}), figures_of(0.9, **told), table_of(0.9))
    if wrong is not None:
        keep(answered(wrong), run)
    return run


def cells(sheet: Sheet) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in sheet.rows}


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    return [
        add(tmp_path, "2026-11-23_17-43-08_mlp", range(0)),
        add(tmp_path, "2026-11-23_17-43-09_deep", range(12), DEEP, train_seconds=25.0),
        add(tmp_path, "2026-11-23_17-43-10_fast", range(1), {"trainer.precision": "32"}, hardware="GPU"),
    ]


def test_metrics_of_torchmetrics_are_compared_too(tmp_path: Path) -> None:
    runs = [
        add(tmp_path, "one", None, **{"test/f1": 0.5, "val/f1": 0.625, "test/balanced_acc": 0.75}),
        add(tmp_path, "other", None),
    ]
    figures = cells(comparison.compare(runs).sheets[1])
    assert figures["test f1"] == ("0.5000", "–")
    assert figures["validation f1"] == ("0.6250", "–")
    assert figures["test balanced acc"] == ("0.7500", "–")


def test_settings_figures_and_times(three: list[Path]) -> None:
    settings, figures, times = comparison.compare(three).sheets
    assert settings.columns == ("setting", "mlp", "deep", "fast")
    expected = {"model.depth": ("1", "4", "1"), "seed": ("0", "1", "0"), "trainer.precision": ("auto", "auto", "32")}
    assert cells(settings) == expected  # without what only shows
    assert cells(figures)["test accuracy"] == ("0.8900",) * 3
    assert cells(times)["hardware"] == ("CPU", "CPU", "GPU")
    assert cells(times)["seconds of training"] == ("10.0", "25.0", "10.0")
    assert cells(times)["seconds of training, relative to the first run"] == ("1.00", "2.50", "1.00")


def test_what_is_better(three: list[Path]) -> None:
    sheet = comparison.compare(three).significance
    assert sheet.columns[-2:] == ("p", "p, corrected")
    assert sheet.rows[0] == ("mlp / deep", "40", "12", "0", "0.0005", "0.0015")
    assert [row[0] for row in sheet.rows] == ["mlp / deep", "deep / fast", "mlp / fast"]
    better, none, other, meaning = sheet.notes
    assert better == (
        "mlp is better than deep: of 40 images 12 are correct only by mlp, 0 only by deep"
        " (p = 0.0005; with Holm's correction for 3 pairs p = 0.0015)."
    )
    assert none.startswith(
        "No significant difference between mlp and fast: of 40 images 1 are correct only by mlp, 0 only"
    )
    assert other.startswith(
        "fast is better than deep: of 40 images 11 are correct only by fast, 0 only by deep (p = 0.0010"
    )
    assert "McNemar" in meaning


def test_other_images_are_not_tested_for_a_difference(tmp_path: Path, three: list[Path]) -> None:
    three.append(add(tmp_path, "elsewhere", range(3), test_set="other"))
    sheet = comparison.compare(three).significance
    assert len(sheet.rows) == 3
    assert (
        "Tested on different images, so their accuracies cannot be compared: mlp, deep, fast on 40; elsewhere on"
        " 40 images"
        " of their own." in sheet.notes
    )
    changed = Predictions("abc", np.array([1, *LABELS[1:]]), np.array(LABELS))
    assert pairs_of([("a", answered(range(0))), ("b", changed)]) == []


def test_runs_without_figures_are_told_of(tmp_path: Path, three: list[Path]) -> None:
    running = add_run(tmp_path, "running", WHOLE, {"status": "running"})
    lost = add(tmp_path, "lost", None)
    found = comparison.compare([*three[:2], running, lost])
    assert found.sheets[1].notes == ("No test metrics: running.",)
    assert cells(found.sheets[1])["state"] == ("finished", "finished", "interrupted", "finished")
    assert len(found.significance.rows) == 1
    notes = " ".join(found.significance.notes)
    assert "running is not finished (interrupted), so it has no test result." in notes
    assert "lost has no test_predictions.csv and could not be tested again: " in notes


def test_of_many_pairs_those_are_said_that_differ() -> None:
    pairs = [Pair("a", f"b{number}", 40, 12, 0, 0.001, 0.01 * number) for number in range(8)]
    said = significance_sheet(pairs, []).notes
    assert len([note for note in said if " is better than " in note]) == 5
    assert "No significant difference between the other 3 pairs." in said


@pytest.mark.slow
def test_many_runs_are_ranked_against_the_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [add(tmp_path, f"run{number:03}", range(number // 2)) for number in range(60)]
    paths += [add(tmp_path, f"other{number}", range(1), test_set="other") for number in range(10)]
    compared = comparison.compare(paths)
    assert compared.sheets == ()
    rows = compared.significance.rows
    assert len(rows) == 60  # of the runs on the same images
    assert rows[0] == ("run000", "1.0000", "0.9124 to 1.0000", "40", "", "", "")
    assert rows[-1] == ("run059", "0.2750", "0.1611 to 0.4283", "40", "29", "0", "< 0.0001")
    assert compared.significance.notes[0].startswith(
        "run000 is better than 40 of the other 59 runs. No significant difference between it and run001, run002,"
    )
    assert "other0, other1, other2, other3, other4, other5, other6, other7 and 2 more on 40" in " ".join(
        compared.significance.notes
    )
    comparison.print_comparison(compared)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 80
    assert "... and 20 more runs: --html FILE has all." in lines
    assert "run059" in summary.comparison_html(compared)


@pytest.fixture
def beside(script: Callable[[ModuleType], Command]) -> Command:
    return script(compare)


def test_refusals(three: list[Path], tmp_path: Path) -> None:
    for paths, sentence in (
        (three[:1], "a comparison needs two or more runs"),
        ([three[0], three[0]], "is given twice"),
        ([three[0], tmp_path / "none"], "none is not a run folder: it has no config.yaml"),
    ):
        with pytest.raises(SettingError, match=sentence):
            load_runs.load_candidates(paths)


def test_what_a_pattern_finds_beside_runs_is_left_out_and_said(
    three: list[Path], tmp_path: Path, beside: Command
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "best.yaml").touch()
    (tmp_path / "summary.csv").touch()
    ended = beside(*sorted(tmp_path.glob("*")))
    assert ended.code == 0
    assert (
        ended.err
        == f"note: ignored, as these are not run folders: {tmp_path / 'experiment'}, {tmp_path / 'summary.csv'}\n"
    )
    assert ended.out == beside(*three).out
    (tmp_path / "deeper" / "more").mkdir(parents=True)
    assert "is not a run folder" in beside(*three, tmp_path / "deeper" / "more").sentence


def test_the_page_is_whole_and_escapes_what_it_shows(tmp_path: Path, three: list[Path]) -> None:
    evil = '<script>alert("1")</script>'
    three[1] = add(tmp_path, "<b>x", range(3), {"model.activation": evil}, hardware=evil)
    seen = Page(summary.comparison_html(comparison.compare(three)))
    assert seen.tags["figure"] == 4
    assert (seen.tags["table"], seen.tags["h1"], seen.tags["script"], seen.tags["b"]) == (4, 1, 1, 0)
    assert " ".join(seen.words).count(evil) == 2
    assert "3 runs compared" in seen.words


@pytest.mark.slow
def test_runs_of_the_program(labbook: Command, beside: Command) -> None:
    words = ("model=mlp", "epochs=1", "data.limit=60", "callbacks=none", "logger=none", "trainer.precision=32")
    one, other = labbook(*words).run, labbook(*words, "seed=3").run
    kept = beside(one, other)
    assert (kept.code, kept.err) == (0, "")
    assert "seed" in kept.out
    assert "images" in kept.out
    (other / "test_predictions.csv").unlink()
    again = beside(one, other, "--html", "out/page.html")
    accuracy = json.loads((other / "metrics.json").read_text())["test/acc"]
    note = f"was tested again: accuracy {accuracy:.4f}, the same as in its own test."
    assert note in " ".join(again.out.split())
    table = kept.out.index("Which run is better")
    assert kept.out[table:].split("p is that of")[0].strip() in again.out
    assert again.out.splitlines()[-1] == "comparison: out/page.html"
    assert Path("out/page.html").read_text().startswith("<!doctype html>")
    taken = beside(one, other, "--html", str(one / "config.yaml" / "page.html"))
    assert (taken.code, taken.sentence) == (2, f"cannot write {one}/config.yaml: Not a directory")

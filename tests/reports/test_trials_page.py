"""The page of a search: many trials, each with values of its own, and one that diverged."""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from labbook.reports import confusion, curves, maps, parameter_effects, summary_facts, svg_charts, sweep_page
from labbook.reports.grouping import Report
from labbook.reports.svg_charts import Picture
from tests.reports.made_sweeps import add_run, figures_of, in_memory, mark, table_of

OVER = ["optimizer.lr", "model.depth"]


def trials(count: int, **others: Any) -> Report:
    """Learning rates at random, the best at 0.001; the fourth trial diverged."""
    draw = random.Random(0)
    runs = []
    for number in range(count):
        rate, depth = 10 ** draw.uniform(-5, 0), draw.randint(1, 8)
        right = 0.004 if number == 3 else 0.95 - 0.08 * (math.log10(rate) + 3) ** 2 + draw.gauss(0, 0.01)
        metrics = figures_of(right, train_seconds=draw.lognormvariate(2, 2), **others)
        runs.append(({"optimizer.lr": rate, "model.depth": depth}, metrics))
    return in_memory(runs, OVER)


def lines_in(picture: Picture) -> tuple[Any, list[Line2D]]:
    """The axes of a picture, and the lines in it that join points."""
    axes = Figure().subplots()
    picture.draw(axes)
    return axes, [line for line in axes.get_lines() if line.get_linestyle() == "-" and np.size(line.get_xdata()) > 1]


@pytest.mark.parametrize("count", [pytest.param(20, marks=pytest.mark.slow), 500])
def test_accuracy_is_linear_and_no_line_goes_through_single_trials(count: int) -> None:
    accuracy, seconds, *_ = parameter_effects.effect_sections(trials(count))
    axes, lines = lines_in(accuracy)
    assert (axes.get_yscale(), axes.get_xscale()) == ("linear", "log")
    assert lines_in(seconds)[0].get_yscale() == "log"
    assert lines == []
    assert accuracy.caption.startswith("Accuracy against lr: one dot per run.")
    assert ("<image" in accuracy.svg) == (count == 500)  # so many dots as shapes make a large page


def test_words_on_an_axis_are_as_many_as_it_has_room_for() -> None:
    runs = [({"model.activation": f"kind {number}"}, figures_of(number / 100)) for number in range(60)]
    accuracy = parameter_effects.effect_sections(in_memory(runs, ["model.activation"]))[0]
    assert "The 20 best of 60 combinations" in accuracy.caption
    axes, _ = lines_in(accuracy)
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"kind {number}" for number in range(40, 60)]


def test_only_a_grid_is_a_heat_map() -> None:
    (found,) = maps.parameter_maps(trials(60))
    assert "one dot per combination" in found.caption
    grid = [({"model.depth": depth, "epochs": epochs}, figures_of(0.9)) for depth in (1, 2) for epochs in (1, 2, 3)]
    (found,) = maps.parameter_maps(in_memory(grid, ["model.depth", "epochs"]))
    assert "Heat map" in str(found.svg)
    mixed = [({"optimizer.lr": 0.1**n, "model.activation": f"{n}"}, figures_of(0.9)) for n in range(9)]
    assert maps.parameter_maps(in_memory(mixed, ["optimizer.lr", "model.activation"])) == []


def test_many_curves_are_an_image() -> None:
    epochs = np.arange(1.0, 4.0)
    many = [(epochs, np.full(3, float(number)), None) for number in range(101)]
    drawn = curves.curve_chart(many, svg_charts.line_styles([""] * 101), "validation loss", "epoch")
    assert "<image" in drawn.svg
    axes, lines = lines_in(drawn)
    assert len(lines) == 6  # solid ones with a name
    (grey,) = axes.collections
    assert len(grey.get_segments()) == 101 - 12


def test_what_the_best_rests_on_is_said() -> None:
    one = trials(3)
    assert summary_facts.evidence_sentences(one)[0] == "n = 1 run."
    seeds = [({"seed": seed}, figures_of(0.92 + 0.01 * seed, test_images=360, val_images=180)) for seed in range(3)]
    said = summary_facts.evidence_sentences(in_memory(seeds, []))
    assert said == [
        "n = 3 runs with different seeds.",
        "test acc 0.9200, 95 % interval: 0.8873 to 0.9438 over 360 test images (Wilson);"
        " 0.8952 to 0.9448 over 3 seeds (Student's t).",
        "val acc 0.9300, 95 % interval: 0.8831 to 0.9590 over 180 validation images (Wilson);"
        " 0.9052 to 0.9548 over 3 seeds (Student's t).",
    ]
    assert summary_facts.evidence_sentences(in_memory([], [])) == []


@pytest.mark.slow
def test_of_many_classes_the_most_confused_are_drawn(tmp_path: Path) -> None:
    sweep, counts = mark(tmp_path / "s", ["epochs"]), 9 * np.eye(60, dtype=int)
    counts[3, 7] = 5
    classes = {"class_names": [f"kind {number}" for number in range(60)], "test/confusion_matrix": counts.tolist()}
    add_run(sweep, "a", {"epochs": 1}, figures_of(0.5) | classes, table_of(0.5))
    report = sweep_page.write_report(sweep)
    (drawn,) = confusion.confusion_pictures(report)
    assert "kind 3 → kind 7" in drawn.svg
    assert "kind 8" not in drawn.svg
    assert (sweep / "table.png").exists()
    assert (sweep / "confusion_matrix.png").exists()
    with Image.open(sweep / "curves.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(2**20) or []}
    assert (0, 114, 178) in colours
    assert not colours & {(10, 0, 1), (2, 2, 2)}

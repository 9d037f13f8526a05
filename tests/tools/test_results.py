"""The page of results is made from the kept figures, and from nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from labbook.errors import SettingError
from tests.reports.made_sweeps import add_run, figures_of, make_grid, mark
from tools.results import archive, page
from tools.results.archive import kept

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def keep(sweep: Path, into: Path, before: archive.Before | None = None) -> int:
    return archive.keep(archive.finished(sweep, into, before), into)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a grid with one published row was kept."""
    keep(make_grid(tmp_path), tmp_path / "results")
    return tmp_path / "results"


def test_settings_figures_and_tables_of_finished_runs_are_kept_and_nothing_else(folder: Path) -> None:
    names = {path.relative_to(folder / "grid").parts for path in (folder / "grid").rglob("*") if path.is_file()}
    runs = {parts[0] for parts in names if len(parts) > 1}
    assert len(runs) == 11
    assert "4_sigmoid_1" not in runs  # failed
    files = {(run, name) for run in runs for name in ("config.yaml", "metrics.json", "metrics.csv")}
    assert names == files | {("sweep.json",), ("summary.csv",)}


def test_what_is_kept_again_takes_the_place_of_what_was(tmp_path: Path, folder: Path) -> None:
    shutil.rmtree(tmp_path / "grid" / "1_relu_0")
    with pytest.raises(SettingError, match=r"holds 1 runs that .*grid does not have, such as 1_relu_0: give --add"):
        keep(tmp_path / "grid", folder)
    assert len(kept(folder)[0].runs) == 11
    assert keep(tmp_path / "grid", folder, "replace") == 10
    (sweep,) = kept(folder)
    assert len(sweep.runs) == 10


def test_the_runs_of_a_sweep_shared_by_two_machines_are_kept_side_by_side(tmp_path: Path, folder: Path) -> None:
    shutil.rmtree(tmp_path / "grid")
    there = mark(tmp_path / "grid", ["model.depth"])
    told = json.loads((there / "sweep.json").read_text())
    (there / "sweep.json").write_text(json.dumps(told | {"commands": ["python train.py -m model.depth=7"]}))
    add_run(there, "7_relu_0", {"model.depth": 7, "model.activation": "relu"}, figures_of(0.25))
    add_run(there, "1_relu_0", {"model.depth": 1, "model.activation": "relu"}, figures_of(0.5))
    assert keep(there, folder, "add") == 2
    (sweep,) = kept(folder)
    assert len(sweep.runs) == 12
    assert [*sweep.commands] == ["python train.py -m a=1,2", "python train.py -m model.depth=7"]
    assert sweep.to_come == 0
    again = next(run for run in sweep.runs if run.path.name == "1_relu_0")
    assert again.metrics["val/acc"] == 0.5


def test_a_sweep_without_a_finished_run_is_refused_and_what_was_kept_stays(tmp_path: Path, folder: Path) -> None:
    shutil.rmtree(tmp_path / "grid")
    add_run(mark(tmp_path / "grid", []), "a", {}, {"status": "failed"})
    with pytest.raises(SettingError, match="has no finished run: there is nothing to keep"):
        keep(tmp_path / "grid", folder)
    assert len(kept(folder)[0].runs) == 11


def test_a_line_has_published_ours_the_difference_and_both_times(tmp_path: Path, folder: Path) -> None:
    (worse,) = page.write(tmp_path / "results.md", folder)
    assert worse.worse
    assert (worse.system, worse.label, worse.name) == ("E3", "depth 2, activation relu", "val/acc")
    text = (tmp_path / "results.md").read_text()
    figures = "0.9000 | 0.8450 ± 0.0071 | 2 | -0.0550 **worse** | no | 12.5 | 10.0"
    row = f"| E3 | depth 2, activation relu | val acc | {figures} |"
    assert row in text.splitlines()
    assert "```sh\npython train.py -m a=1,2\n```" in text
    assert "- systems: 1; runs: 11; training time: 0.0 hours" in text
    counts = "ours within 0.5 points: 0; more than 0.5 points higher: 0; more than 0.5 points lower: 1"
    assert f"- published accuracies: 1; {counts}" in text


@pytest.mark.parametrize(
    ("name", "theirs", "ours", "worse"),
    [
        ("test/acc", 0.90, 0.896, False),
        ("test/acc", 0.90, 0.894, True),
        ("test/acc", 0.90, 0.990, False),
        ("train/loss", 0.02, 0.03, True),
        ("train/loss", 0.02, 0.01, False),
    ],
)
def test_what_is_worse_by_more_than_half_a_point_is_marked(
    name: str, theirs: float, ours: float, worse: bool, tmp_path: Path
) -> None:
    sweep = mark(tmp_path / "one", [])
    add_run(sweep, "a", {"published": [{"system": "A1", "final": {name: theirs}}]}, figures_of(0.5, **{name: ours}))
    keep(sweep, tmp_path / "results")
    (line,) = page.write(tmp_path / "results.md", tmp_path / "results")
    assert line.worse == worse
    assert ("**worse**" in (tmp_path / "results.md").read_text()) == worse


def test_what_was_published_after_another_number_of_epochs_is_not_compared(tmp_path: Path) -> None:
    sweep = mark(tmp_path / "one", [])
    entry = {"system": "A1", "final": {"test/acc": 0.9}, "epochs": 7}
    add_run(sweep, "a", {"epochs": 3, "published": [entry]}, figures_of(0.5))
    keep(sweep, tmp_path / "results")
    assert page.write(tmp_path / "results.md", tmp_path / "results") == []


def test_systems_come_in_the_order_of_their_numbers_and_their_labs(tmp_path: Path) -> None:
    for system in ("A10", "B1", "A2"):
        sweep = mark(tmp_path / system, [])
        add_run(sweep, "a", {"published": [{"system": system, "final": {"test/acc": 0.5}}]}, figures_of(0.5))
        keep(sweep, tmp_path / "results")
    page.write(tmp_path / "results.md", tmp_path / "results")
    text = (tmp_path / "results.md").read_text()
    assert text.index("| A2 |") < text.index("| A10 |") < text.index("end of lab A") < text.index("| B1 |")


def test_the_readme_has_a_row_for_each_lab_where_it_has_marks_for_them(tmp_path: Path) -> None:
    for system, ours in (("A2", 0.75), ("A1", 0.25), ("B1", 0.75)):
        sweep = mark(tmp_path / system, [])
        entry = {"system": system, "final": {"test/acc": 0.5, "train/loss": 0.1}}
        for seed in (0, 1):
            add_run(sweep, f"s{seed}", {"published": [entry], "seed": seed}, figures_of(ours, **{"train/loss": 0.1}))
        keep(sweep, tmp_path / "results")
    file, readme = tmp_path / "results.md", tmp_path / "README.md"
    file.write_text("# Results\n\n## Lab A: first steps\n\n## Lab B: LeNet-5\n")
    found = page.write(file, tmp_path / "results")
    page.write_brief(readme, file, found)
    assert not readme.exists()
    readme.write_text("# Ours\n")
    page.write_brief(readme, file, found)
    assert readme.read_text() == "# Ours\n"
    readme.write_text("# Ours\n\n<!-- figures of labs -->\n<!-- end of labs -->\n\nMore.\n")
    page.write_brief(readme, file, found)
    rows = readme.read_text().splitlines()
    assert "| A: first steps | A1, A2 | 4 | 2 | 1 | 0 of 2 |" in rows
    assert "| B: LeNet-5 | B1 | 2 | 1 | 1 | 0 of 1 |" in rows
    assert rows[0] == "# Ours"
    assert rows[-1] == "More."


def test_words_between_the_marks_of_figures_stay(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "results.md"
    page.write(file, folder)
    file.write_text(file.read_text().replace("# Results", "# Results\n\nRead this.") + "\nAnd this.\n")
    before = file.read_text()
    page.write(file, folder)
    assert file.read_text() == before


def test_a_sweep_with_marks_of_its_own_is_shown_there_and_not_in_its_lab(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "results.md"
    file.write_text("# Results\n\n<!-- figures of sweep grid -->\n<!-- end of sweep grid -->\n")
    assert page.write(file, folder) == []
    text = file.read_text()
    assert "| 4 | relu | 2 | 0.8850 ± 0.0071 |" in text.partition("<!-- end of sweep grid -->")[0]
    assert "lab E" not in text
    assert "- systems: 0; runs: 11;" in text


def test_the_recall_of_each_class_is_shown_between_its_marks(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "results.md"
    file.write_text("# Results\n\n<!-- figures of recall grid -->\n<!-- end of recall grid -->\n")
    page.write(file, folder)
    lines = file.read_text().partition("<!-- figures of recall grid -->")[2].splitlines()
    assert lines[2] == "| depth | activation | n | test acc | recall of cat | recall of dog |"
    assert "| 2 | relu | 2 | 0.8350 ± 0.0071 | 0.9000 ± 0.0000 | 0.7000 ± 0.0000 |" in lines


def test_sweeps_of_transfer_share_a_table_and_a_plot(tmp_path: Path) -> None:
    pretrained = {"model.weights": "weights.pt"}
    ways: dict[str, dict[str, Any]] = {
        "frozen": {**pretrained, "model.freeze": "backbone"}, "tuned": pretrained, "scratch": {"model.weights": None},
        "frozen_plain": {**pretrained, "model.freeze": "backbone", "data.augment": []},
    }  # fmt: skip
    for way, settings in ways.items():
        sweep = mark(tmp_path / f"transfer_{way}", ["data.root"])
        for images in (500, 50):
            for seed in (0, 1):
                metrics = figures_of(0.9 + seed / 100, data={"train": {"images": images}})
                given = {"data.augment": ["flip"], "data.root": str(images), "seed": seed, **settings}
                add_run(sweep, f"{images}_{seed}", given, metrics)
        keep(sweep, tmp_path / "results")
    page.write(tmp_path / "results.md", tmp_path / "results")
    lines = (tmp_path / "results.md").read_text().partition("<!-- figures of transfer -->")[2].splitlines()
    assert [line.split(" | ")[:4] for line in lines if line.startswith("| 50")] == [
        [f"| {images}", *cells, "2"] for images in (50, 500)
        for cells in (["frozen", "on"], ["frozen", "off"], ["fine-tuned", "on"], ["from scratch", "on"])
    ]  # fmt: skip
    assert "| 50 | frozen | on | 2 | 0.8950 ± 0.0071 | 10.0 ± 0.0 |" in lines
    assert lines.count("python train.py -m a=1,2") == len(ways)
    drawn = ElementTree.parse(tmp_path / "results" / "transfer.svg").getroot()
    assert drawn.tag.endswith("svg")


def test_a_setting_of_two_sweeps_is_one_line(tmp_path: Path) -> None:
    entry = {"system": "E3", "final": {"test/acc": 0.5}}
    for name, ours in (("depth", 0.5), ("activations", 0.5), ("again", 0.75)):
        add_run(mark(tmp_path / name, []), "a", {"published": [entry]}, figures_of(ours))
        keep(tmp_path / name, tmp_path / "results")
    assert len(page.write(tmp_path / "results.md", tmp_path / "results")) == 2


@pytest.mark.slow
def test_the_script_keeps_and_writes(tmp_path: Path) -> None:
    make_grid(tmp_path)
    shutil.copytree(tmp_path / "grid" / "1_relu_0", tmp_path / "other" / "grid" / "elsewhere")
    keep(mark(tmp_path / "other" / "grid", []), tmp_path / "r")
    (tmp_path / "README.md").write_text("<!-- figures of labs -->\n<!-- end of labs -->\n")
    command = [sys.executable, str(ROOT / "tools" / "results_page.py"), "--folder", "r", "--keep", "grid", "--add"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [
        "grid: 11 runs kept",
        "worse than published: E3, depth 2, activation relu: val/acc by 0.0550",
        "page: r.md",
    ]
    assert (tmp_path / "README.md").read_text() == "<!-- figures of labs -->\n<!-- end of labs -->\n"  # that of docs/
    assert (tmp_path / "r" / "grid" / "elsewhere").is_dir()
    for name in ("differences", "tests", "by_epoch"):
        ElementTree.parse(tmp_path / "r" / f"{name}.svg")


@pytest.mark.skipif(not (DOCS / "results").is_dir(), reason="nothing was kept yet")
def test_the_page_in_docs_is_what_the_kept_figures_make_it(tmp_path: Path) -> None:
    shutil.copyfile(DOCS / "results.md", tmp_path / "results.md")
    shutil.copyfile(ROOT / "README.md", tmp_path / "README.md")
    found = page.write(tmp_path / "results.md", DOCS / "results")
    page.write_brief(tmp_path / "README.md", tmp_path / "results.md", found)
    assert (tmp_path / "results.md").read_text() == (DOCS / "results.md").read_text()
    assert (tmp_path / "README.md").read_text() == (ROOT / "README.md").read_text()
    for file in (DOCS / "results").glob("*/*/metrics.json"):
        assert json.loads(file.read_text())["status"] == "finished"


def test_a_comparison_of_frameworks_is_told_by_its_last_epochs(tmp_path: Path, folder: Path) -> None:
    (folder / "frameworks.csv").write_text(
        "seed,epoch,test acc,test acc of Keras,seconds,seconds of Keras\n"
        "3,1,0.5,0.25,1,4\n3,2,0.75,0.5,2,3\n4,1,0.5,0.25,1,4\n4,2,0.85,0.5,4,3\n"
    )
    page.write(tmp_path / "results.md", folder)
    lines = (tmp_path / "results.md").read_text().splitlines()
    assert "<!-- figures of frameworks -->" in lines
    assert "| PyTorch, by Labbook | 0.8000 ± 0.0707 | 2 | 4.0 ± 1.4 |" in lines
    assert "| Keras | 0.5000 ± 0.0000 | 2 | 7.0 ± 0.0 |" in lines

"""The page of a sweep: its pictures, its words, and what it does with hostile ones."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from labbook.reports import images, svg_charts, sweep_page, table_cells
from labbook.reports.grouping import Report
from labbook.runs import locks
from tests.conftest import Command
from tests.reports.made_sweeps import add_run, figures_of, in_memory, make_grid, mark, table_of


class Written(NamedTuple):
    """A report on the disk, and what it was made of."""

    folder: Path
    report: Report
    sections: list[sweep_page.PageSection]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = make_grid(tmp_path_factory.mktemp("grid"))
    sections: list[sweep_page.PageSection] = []
    original = sweep_page.page_sections
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_page, "page_sections", lambda report: sections.extend(original(report)) or sections)
        return Written(folder, sweep_page.write_report(folder), sections)


class Page(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, name: str) -> list[str]:
        return [value or "" for attribute, value in self.attributes if attribute == name]


def test_page_is_whole(grid: Written) -> None:
    text = (grid.folder / "report.html").read_text()
    seen = Page(text)
    assert {path.name for path in grid.folder.iterdir() if path.is_file()} == {
        *("report.html", "summary.csv", "summary.md", "sweep.json", "curves.png", "confusion_matrix.png", "table.png")
    }
    # 4 curves, 2 effects of 2 parameters, a map, 2 of gradients, 2 matrices
    assert seen.tags["figure"] == seen.tags["figcaption"] == 4 + 4 + 1 + 2 + 2
    assert seen.all("role").count("img") == seen.tags["figure"]
    assert all(len(words) > 20 for words in seen.all("aria-label") if ":" in words)
    ids = seen.all("id")
    assert len(ids) == len(set(ids))
    targets = {link.removeprefix("#") for link in seen.all("xlink:href") if link.startswith("#")}
    targets |= {value[5:-1] for value in seen.all("clip-path")}
    assert targets
    assert targets <= set(ids)
    drawn = "".join(re.findall("<svg.*?</svg>", text, re.DOTALL))
    for colour, name in svg_charts.VARIABLES.items():
        assert colour not in drawn
        assert f"--{name}: {colour};" in text  # in the style of light pages
    assert "TrainingError: the loss became nan" in text
    assert f"{grid.folder}/4_sigmoid_1/train.log" in text
    assert grid.report.failures[0].reason == "TrainingError: the loss became nan"


def test_captions_say_what_is_drawn(grid: Written) -> None:
    captions = [picture.caption for section in grid.sections for picture in section.pictures]
    diamonds = [caption.split(":")[0] for caption in captions if "Open diamonds are published results" in caption]
    assert diamonds == [
        *("Val acc against depth", "Seconds of training against depth"),
        *("Val acc against activation", "Seconds of training against activation"),
    ]
    assert "best run of the best combination (depth 4, activation relu), 4_relu_1." in captions[-2]
    assert "best run of the worst combination (depth 1, activation sigmoid), 1_sigmoid_1." in captions[-1]


@pytest.mark.usefixtures("page_only")
@pytest.mark.slow
def test_more_settings_than_colours(tmp_path: Path) -> None:
    runs = [({"epochs": number}, figures_of(number / 100)) for number in range(1, 16)]
    report = in_memory(runs, ["epochs"])
    lines = svg_charts.line_styles([row.label for row in report.rows])
    assert [line.named for line in lines] == [True] * 12 + [False] * 3
    assert len({(line.colour, str(line.dashes)) for line in lines}) == 13
    sweep = mark(tmp_path / "s", ["epochs"])
    for number, (settings, metrics) in enumerate(runs):
        add_run(sweep, str(number), settings, metrics, table_of(0.5))
    sweep_page.write_report(sweep)
    assert (sweep / "report.html").read_text().count("3 others") == 1


@pytest.mark.usefixtures("page_only")
def test_text_is_escaped_everywhere(tmp_path: Path) -> None:
    evil = '<script>alert("$1 & 2")</script>'
    sweep = mark(tmp_path / "<b>s", ["model.activation"])
    classes = {"class_names": [evil, "猫 $x_"], "device": evil, "code_version": evil}
    add_run(sweep, "a", {"model.activation": evil}, figures_of(0.5, **classes), table_of(0.5))
    add_run(sweep, "b", {"model.activation": "a|b\n`c` *d* _e_"}, figures_of(0.6), table_of(0.6))
    add_run(sweep, "c", {"model.activation": "relu"}, {"status": "failed", "reason": evil})
    report = sweep_page.write_report(sweep)
    seen = Page((sweep / "report.html").read_text())
    assert seen.tags["script"] == 1
    assert seen.tags["b"] == 0
    words = " ".join(seen.words)
    assert words.count(evil) >= 3
    assert "猫 $x_" in words
    markdown = (sweep / "summary.md").read_text()
    assert "<script" not in markdown
    assert r"a\|b \`c\` \*d\* \_e\_" in markdown
    rows = [line.replace(r"\|", "").count("|") for line in markdown.splitlines() if line.startswith("|")]
    assert set(rows) == {len(table_cells.table_headings(report)) + 1}
    assert len(rows) == 2 + 3


@pytest.mark.usefixtures("page_only")
def test_while_nothing_has_finished(tmp_path: Path) -> None:
    sweep = mark(tmp_path / "s", ["epochs"])
    assert table_cells.tally_runs(sweep_page.write_report(sweep)) == "0 runs"
    add_run(sweep, "a", {"epochs": 1}, {"status": "running"}, table_of(0.5, epochs=2))
    add_run(sweep, "b", {"epochs": 2}, {"status": "failed", "reason": "no"})
    with locks.run_lock(sweep, "a"):
        report = sweep_page.write_report(sweep)
    assert table_cells.tally_runs(report) == "2 runs: 1 running, 1 failed"
    text = (sweep / "report.html").read_text()
    assert "No run has finished yet." in text
    assert "Validation accuracy by epoch" in text
    assert not report.ranked


@pytest.mark.slow
def test_a_sweep_of_the_program_is_drawn(labbook: Command) -> None:
    sweep = labbook("-m", "model=mlp", "data.limit=100", "epochs=1", "callbacks=none", "optimizer=sgd,adam").run
    pictures = {file.name for file in sweep.glob("*.png")}
    assert pictures == {images.CURVES, images.MATRIX, images.TABLE}
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in sweep.glob("*.png"))
    assert "Confusion matrix" in (sweep / sweep_page.PAGE).read_text(encoding="utf-8")

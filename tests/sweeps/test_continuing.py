"""The same command continues a sweep: finished runs stay, missing ones are added, interrupted ones end the same."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from labbook.runs import locks
from tests.conftest import Command
from tests.runs.test_resume import signal_at
from tests.sweeps.running import (
    LONGER,
    TINY,
    WIDTHS,
    Figures,
    begun,
    done,
    figures_of,
    killed,
    run,
    runs_of,
)


def test_each_run_has_a_folder_in_that_of_the_sweep_and_the_same_command_again_runs_nothing(labbook: Command) -> None:
    first = labbook(*TINY, WIDTHS)
    sweep = done(first)
    assert sweep == Path("logs/sweeps/epochs-1_model-mlp_limit-100_precision-32_by_width")
    assert [re.sub("-[0-9a-f]{8}$", "", name) for name in runs_of(sweep)] == ["width-4", "width-8"]
    reports = {path.name for path in sweep.iterdir() if path.is_file() and not path.name.startswith(".")}
    assert reports == {"sweep.json", "summary.csv", "summary.md", "report.html"}
    assert not list(Path("logs").glob("runs/*"))
    files = {path: path.stat().st_mtime_ns for path in sweep.glob("*/*")}
    again = labbook(*TINY, WIDTHS)
    assert done(again) == sweep
    assert begun(again.out) == 0
    assert "of 2 runs: 2 finished already" in again.out
    assert "this command: 2 skipped as finished before" in again.out
    assert {path: path.stat().st_mtime_ns for path in sweep.glob("[!e]*/*")}.items() <= files.items()
    table = [line for line in first.out.splitlines() if line.startswith(("width", " "))]
    assert table == [line for line in again.out.splitlines() if line.startswith(("width", " "))]


SKIPPING = """
import sys
import train
from labbook.cli import command_line as cli
from labbook.reports import images

images.write_images = lambda *_: None  # which takes seconds
try:
    sys.argv[0] = "train.py"
    cli.run_command_line(train.main)
finally:
    print("imported:", *sorted({"torch", "pytorch_lightning", "torchvision"} & sys.modules.keys()))
"""


@pytest.mark.slow
def test_what_is_done_is_skipped_without_torch(labbook: Command, finished: Path, tmp_path: Path) -> None:
    again = run(*TINY, WIDTHS, cwd=tmp_path, code=SKIPPING)
    assert again.code == 0, again.err
    assert again.out.splitlines()[-1].split() == ["imported:"]
    assert str(finished) in again.out
    assert again.err == ""


def test_new_values_add_runs_to_the_same_sweep_and_fewer_keep_them(labbook: Command, finished: Path) -> None:
    before = runs_of(finished)
    more = labbook(*TINY, "model.width=2,4,16,8")
    assert done(more) == finished
    assert begun(more.out) == 2
    assert len(runs_of(finished)) == 4
    assert before.items() <= runs_of(finished).items()
    commands = json.loads((finished / "sweep.json").read_text())["commands"]
    assert len(commands) == 2
    fewer = labbook(*TINY, "model.width=4,16")
    assert done(fewer) == finished
    assert begun(fewer.out) == 0
    assert len(runs_of(finished)) == 4


def test_settings_that_change_no_result_lead_to_the_same_runs(labbook: Command, finished: Path) -> None:
    again = labbook(*TINY, WIDTHS, "sweep.on_error=stop", "checkpoint.every_minutes=3", "data.on_device=false")
    assert done(again) == finished
    assert begun(again.out) == 0


@pytest.mark.parametrize(
    ("hook", "epoch", "batch"),
    [("on_train_epoch_end", 1, 0), pytest.param("on_train_batch_end", 1, 0, marks=pytest.mark.slow)],
)
def test_an_interrupted_sweep_is_continued_and_ends_the_same(
    labbook: Command,
    undisturbed: Callable[..., Figures],
    monkeypatch: pytest.MonkeyPatch,
    hook: str,
    epoch: int,
    batch: int,
) -> None:
    whole = undisturbed(*LONGER, WIDTHS)
    signal_at(monkeypatch, hook, epoch, batch, signal.SIGINT)
    stopped = labbook(*LONGER, WIDTHS)
    assert stopped.code == 130
    assert stopped.err == ""
    assert "the sweep is not done: use the same command to resume" in stopped.out
    (sweep,) = Path("logs/sweeps").iterdir()
    (interrupted,) = runs_of(sweep).values()
    assert interrupted["status"] == "interrupted"
    rest = labbook(*LONGER, WIDTHS)
    assert done(rest) == sweep
    assert "of 2 runs: 1 begun before" in rest.out
    assert " (was interrupted)" in rest.out
    assert "resuming from epoch" in rest.out
    assert "this command: 2 finished, 1 of them resumed" in rest.out
    assert begun(rest.out) == 1
    assert sorted(item.get("resumed", 0) for item in runs_of(sweep).values()) == [0, 1]
    assert figures_of(sweep) == whole


@pytest.mark.slow  # an interrupted sweep, above, and killed runs are quick tests
def test_a_sweep_killed_at_any_moment_is_continued_and_ends_the_same(
    labbook: Command, undisturbed: Callable[..., Figures], tmp_path: Path
) -> None:
    whole = undisturbed(*LONGER, WIDTHS)
    killed(*LONGER, WIDTHS, cwd=tmp_path, epoch=5)  # the second epoch of the second run
    (sweep,) = Path("logs/sweeps").iterdir()
    assert sorted(item["status"] for item in runs_of(sweep).values()) == ["finished", "running"]
    assert locks.held_locks(sweep) == {}
    rest = labbook(*LONGER, WIDTHS)
    assert done(rest) == sweep
    assert "of 2 runs: 1 finished already, 1 begun before" in rest.out
    assert "resuming from epoch 2" in rest.out
    assert "epoch 3/3" in rest.out
    assert "epoch 2/3" not in rest.out
    assert "this command: 1 finished, 1 of them resumed, 1 skipped as finished before" in rest.out
    assert figures_of(sweep) == whole


def test_a_run_that_is_gone_is_done_again(labbook: Command, finished: Path) -> None:
    before = figures_of(finished)
    gone = finished / next(iter(before))
    for path in sorted(gone.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = labbook(*TINY, WIDTHS)
    assert done(again) == finished
    assert begun(again.out) == 1
    assert figures_of(finished) == before


@pytest.mark.slow
def test_a_run_with_damaged_figures_is_done_again(labbook: Command, finished: Path) -> None:
    before = figures_of(finished)
    texts = ('{\n  "test/acc": 0.5,\n  "sta', '{"status": "finished", "test/acc": 0.5}')
    for name, text in zip(before, texts, strict=True):
        (finished / name / "metrics.json").write_text(text)
    again = labbook(*TINY, WIDTHS)
    assert done(again) == finished
    assert begun(again.out) == 2
    assert figures_of(finished) == before
    for name, text in zip(before, texts, strict=True):
        (kept,) = Path("logs/replaced", finished.name).glob(f"{name}_*")
        assert (kept / "metrics.json").read_text() == text
        assert (kept / "checkpoints" / "last.ckpt").exists()
        assert f"its metrics.json is damaged, so it runs again; the old folder is kept as {kept}" in again.out


@pytest.mark.slow
def test_starting_over_keeps_what_was_there(labbook: Command, finished: Path) -> None:
    before = runs_of(finished)
    again = labbook(*TINY, WIDTHS, "sweep.rerun=true")
    assert done(again) == finished
    assert begun(again.out) == 2
    assert figures_of(finished).keys() == before.keys()
    (kept,) = Path("logs/replaced").iterdir()
    assert runs_of(kept) == before
    assert f"sweep.rerun=true: the old sweep is kept in {kept}" in again.out
    assert len(runs_of(finished)) == 2


@pytest.mark.slow
def test_starting_over_where_nothing_was(labbook: Command) -> None:
    ended = labbook(*TINY, "sweep.name=mine", "sweep.rerun=true")
    assert begun(ended.out) == 1
    assert not Path("logs/replaced").exists()
    assert ended.code == 0


def test_runs_in_use_are_not_moved(labbook: Command, finished: Path) -> None:
    before = runs_of(finished)
    name = next(iter(before))
    with locks.run_lock(finished, name):
        refused = labbook(*TINY, WIDTHS, "sweep.rerun=true")
    assert refused.code == 2
    assert refused.sentence.startswith("sweep.rerun=true would move runs that are in use by process ")
    assert runs_of(finished) == before

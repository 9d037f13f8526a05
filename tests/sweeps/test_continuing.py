"""The same command goes on: what is done stays, what is missing is added, what was cut short ends the same."""

import json
import re
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from labbook.reports.confusion import setting_confusion
from labbook.reports.grouping import group_runs
from labbook.reports.read_runs import read_sweep
from labbook.reports.summary_facts import evidence_sentences
from labbook.runs import locks
from labbook.sweeps import run_job
from labbook.sweeps.best_experiment import run_of
from labbook.sweeps.best_experiment import runs_of as every
from tests.conftest import Command
from tests.runs.test_resume import signal_at
from tests.sweeps.running import (
    LONGER,
    PLAIN,
    TINY,
    WIDTHS,
    Figures,
    begun,
    done,
    figures_of,
    killed,
    metrics_of,
    needs,
    run,
    runs_of,
    summary_of,
)


@pytest.mark.usefixtures("drawn")
def test_each_run_has_a_folder_of_its_own_in_that_of_the_sweep(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS, "optimizer=sgd,adam"))
    assert sweep == Path("logs/sweeps/epochs-1_model-mlp_limit-100_precision-32_by_width_optimizer")
    names = {name.rpartition("-")[0] for name in runs_of(sweep)}
    assert names == {f"optimizer-{name}_width-{width}" for name in ("sgd", "adam") for width in (4, 8)}
    hashes = {name.rpartition("-")[2] for name in runs_of(sweep)}
    assert len(hashes) == 4
    assert all(len(text) == 8 for text in hashes)
    files = {path.name for path in sweep.iterdir() if path.is_file() and not path.name.startswith(".")}
    assert files == {
        *("sweep.json", "summary.csv", "summary.md", "report.html"),
        *("curves.png", "confusion_matrix.png", "table.png"),
    }
    assert not list(Path("logs").glob("runs/*"))


def test_the_same_command_again_runs_nothing(labbook: Command) -> None:
    first = labbook(*TINY, WIDTHS)
    sweep = done(first)
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


def test_another_setting_is_another_sweep(labbook: Command, finished: Path) -> None:
    other = labbook(*TINY, WIDTHS, "optimizer.lr=0.01")
    assert done(other) != finished
    assert begun(other.out) == 2


@pytest.mark.parametrize(
    ("hook", "epoch", "batch"),
    [("on_train_epoch_end", 1, 0), pytest.param("on_train_batch_end", 1, 0, marks=pytest.mark.slow)],
)
def test_an_interrupted_sweep_goes_on_and_ends_the_same(
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
def test_a_sweep_killed_at_any_moment_goes_on_and_ends_the_same(
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


@pytest.mark.parametrize("text", ['{\n  "test/acc": 0.5,\n  "sta', '{"status": "finished", "test/acc": 0.5}'])
def test_a_run_with_damaged_figures_is_done_again(labbook: Command, finished: Path, text: str) -> None:
    before = figures_of(finished)
    name = next(iter(before))
    (finished / name / "metrics.json").write_text(text)
    again = labbook(*TINY, WIDTHS)
    assert done(again) == finished
    assert begun(again.out) == 1
    assert figures_of(finished) == before
    (kept,) = Path("logs/replaced", finished.name).iterdir()
    assert kept.name.startswith(f"{name}_")
    assert (kept / "metrics.json").read_text() == text
    assert (kept / "checkpoints" / "last.ckpt").exists()
    assert f"its metrics.json is damaged, so it runs again; the old folder is kept as {kept}" in again.out


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


def test_starting_over_where_nothing_was(labbook: Command) -> None:
    ended = labbook(*TINY, WIDTHS, "sweep.rerun=true")
    assert begun(ended.out) == 2
    assert not Path("logs/replaced").exists()
    assert ended.code == 0


def test_what_is_being_worked_on_is_not_moved(labbook: Command, finished: Path) -> None:
    before = runs_of(finished)
    name = next(iter(before))
    with locks.run_lock(finished, name):
        refused = labbook(*TINY, WIDTHS, "sweep.rerun=true")
    assert refused.code == 2
    assert refused.sentence.startswith("sweep.rerun=true would move runs that are in use by process ")
    assert runs_of(finished) == before


def test_seeds_repeat_every_setting(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS, "seeds=2", "seed=7"))
    seeds = sorted((int(re.findall(r"width-(\d+)", name)[0]), run["seed"]) for name, run in runs_of(sweep).items())
    assert seeds == [(4, 7), (4, 8), (8, 7), (8, 8)]


def test_folds_are_a_cross_validation(labbook: Command) -> None:
    """Each training image is a validation image of one run; a setting has one row over its folds."""
    sweep = done(labbook(*TINY, WIDTHS, "folds=4"))
    runs = runs_of(sweep)
    assert len(runs) == 8
    assert {(run["val_images"], sum(map(sum, run["val/confusion_matrix"]))) for run in runs.values()} == {(25, 25)}
    assert len({run["data"]["val"]["content"] for run in runs.values()}) == 4
    rows = summary_of(sweep)
    assert [row["runs"] for row in rows] == ["4", "4"]
    report = group_runs(read_sweep(sweep))
    counts, _ = setting_confusion(report.rows[0]) or pytest.fail("no matrix")
    assert counts.sum() == 100
    accuracy = report.rows[0].exact("val/acc")
    assert accuracy is not None
    assert counts.trace() / 100 == pytest.approx(accuracy.mean)
    assert evidence_sentences(report)[0] == "n = 4 runs with different folds."
    again = (sweep / "experiment" / "best.yaml").read_text()
    assert "fold" not in again.partition("\n")[2].partition("\n")[2]
    alone = labbook(*PLAIN, "epochs=1", "model.width=4", "folds=4", "fold=2")
    assert alone.code == 0, alone.err
    assert "fold 2 of 4: validation on 25 of 100 images" in alone.out + alone.err


def test_seeds_alone_are_a_sweep(labbook: Command) -> None:
    sweep = done(labbook(*TINY, "model.width=4", "seeds=2", "seed=0"))
    assert sorted(run["seed"] for run in runs_of(sweep).values()) == [0, 1]
    assert len((sweep / "summary.csv").read_text().splitlines()) == 2
    more = labbook(*TINY, "model.width=4", "seeds=3", "seed=0")
    assert done(more) == sweep
    assert begun(more.out) == 1


@pytest.mark.parametrize("same", ["optimizer.lr=0.001,1e-3 data.on_device=auto,false", "optimizer.lr=1,1.0"])
def test_settings_that_come_to_the_same_run_are_done_once(labbook: Command, same: str) -> None:
    ended = labbook(*TINY, *same.split())
    sweep = done(ended)
    assert begun(ended.out) == 1
    (name,) = runs_of(sweep)
    assert f"duplicate settings, run once: {name}" in ended.out.splitlines()


def test_a_name_and_a_place_of_ones_own_are_not_in_the_names_of_runs(labbook: Command) -> None:
    sweep = done(labbook(*TINY, "sweep.name=single", "log_dir=elsewhere"))
    assert sweep == Path("elsewhere/sweeps/single")
    ((name, metrics),) = runs_of(sweep).items()
    assert metrics["status"] == "finished"
    assert "epochs-1" in name
    assert "single" not in name
    assert "elsewhere" not in name


@pytest.mark.slow
def test_the_best_of_several_callbacks_can_be_done_again(labbook: Command) -> None:
    several = "callbacks=[ema,early_stopping],[ema]"
    quick = ("model=mlp", "epochs=1", "data.limit=40", "logger=none", "callbacks.pictures=null")
    ended = labbook("-m", *quick, several, "sweep.name=mine")
    assert ended.code == 0, ended.err
    assert "[ema,early_stopping]" in ended.out
    again = labbook("--config-dir=logs/sweeps/mine", "experiment=best", "logger=none")
    assert again.code == 0, again.err
    best = next(line for line in ended.out.splitlines() if line.startswith("best: "))
    noted = yaml.safe_load((again.run / "config.yaml").read_text())["config_groups"]["callbacks"]
    assert best.startswith(f"best: callbacks {noted}")


def test_the_best_can_be_done_again(labbook: Command) -> None:
    ended = labbook(*TINY, WIDTHS)
    sweep = done(ended)
    (line,) = [line for line in ended.out.splitlines() if line.startswith("to train it again: ")]
    command = line.rpartition("python train.py ")[2].split()
    assert command == [f"--config-dir={sweep}", "experiment=best"]
    best = max(runs_of(sweep).values(), key=lambda metrics: metrics["objective"])
    again = labbook(*command)
    assert again.code == 0, again.err
    (run,) = [line.removeprefix("best run: ") for line in ended.out.splitlines() if line.startswith("best run: ")]
    assert f"{run} has the same settings and is finished; this command trains again" in again.out
    assert run_of(sweep) == Path(run)
    assert run_of(Path(run)) == Path(run)
    assert set(every(sweep)) == {sweep / name for name in runs_of(sweep)}
    assert metrics_of(Path(run)) == best
    assert metrics_of(again.run)["test/acc"] == best["test/acc"]
    assert metrics_of(again.run)["objective"] == best["objective"]


def made_by(run: Path, code: str) -> None:
    """Let a run be one that other code made."""
    write = json.dumps(metrics_of(run) | {"code_version": code})
    (run / "metrics.json").write_text(write)


def test_what_other_code_made_is_skipped_with_a_word_and_marked(labbook: Command, finished: Path) -> None:
    made_by(next(finished.glob("width-4-*")), "0.1.0+abc-dirty.01234567")
    again = labbook(*TINY, WIDTHS)
    assert begun(again.out) == 0
    assert "of 2 runs: 2 finished already; 1 of them by other code, 0.1.0+abc-dirty.01234567 (1), where" in again.out
    assert "delete its folder, or use sweep.rerun=true for all" in again.out
    assert re.search(r"^ *4 +1\*", again.out, re.MULTILINE)
    assert "| 1\\* |" in (finished / "summary.md").read_text()
    made_by(next(finished.glob("width-8-*")), "0.1.0+abc-dirty.01234567")
    assert labbook(*TINY, WIDTHS).out.count("1*") == 2  # the code of this command made neither


@pytest.mark.slow
def test_a_run_that_other_code_began_is_marked(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_at(monkeypatch, "on_train_epoch_end", 1, 0, signal.SIGINT)
    labbook(*LONGER, WIDTHS)
    (run,) = Path("logs/sweeps").glob("*/width-*")
    made_by(run, "0.1.0+older")
    rest = labbook(*LONGER, WIDTHS)
    assert "started by other code, 0.1.0+older; this is" in rest.out + rest.err
    assert metrics_of(run)["earlier_code"] == ["0.1.0+older"]
    assert "0.1.0+older then" in (done(rest) / "summary.csv").read_text()
    assert "1*" in rest.out


def settings_of(sweep: Path, *names: str) -> list[tuple[Any, ...]]:
    """Some settings of all runs."""
    configs = [OmegaConf.load(file) for file in sorted(sweep.glob("*/config.yaml"))]
    return sorted(tuple(OmegaConf.select(config, name) for name in names) for config in configs)


@pytest.mark.parametrize("search", [False, pytest.param(True, marks=[needs("optuna"), pytest.mark.slow])])
def test_a_value_taken_from_a_swept_one_is_that_of_its_run(labbook: Command, search: bool) -> None:
    searching = ("hydra/sweeper=optuna", "sweep.n_trials=3", "hydra.sweeper.sampler.seed=1") if search else ()
    width = "model.width=choice(4,8)" if search else WIDTHS
    sweep = done(labbook(*TINY, *searching, width, "data.batch_size=${model.width}"))
    assert settings_of(sweep, "model.width", "data.batch_size") == [(4, 4), (8, 8)]


@pytest.mark.slow
def test_a_preset_may_take_a_value_from_a_swept_one(labbook: Command) -> None:
    Path("more/sweep").mkdir(parents=True)
    params = {"seed": "3,4", "data.batch_size": "${seed}", "~trainer.profiler": None}
    content = {"hydra": {"sweeper": {"params": params}}}
    Path("more/sweep/mine.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(content)}")
    sweep = done(labbook("--config-dir=more", *TINY, "sweep=mine"))
    assert settings_of(sweep, "seed", "data.batch_size") == [(3, 3), (4, 4)]


def test_a_setting_can_be_taken_away_in_a_sweep(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS, "~trainer.profiler"))
    assert all("profiler" not in OmegaConf.load(file).trainer for file in sweep.glob("*/config.yaml"))


@pytest.mark.slow
def test_a_setting_that_some_runs_were_given_tells_them_apart(labbook: Command) -> None:
    normalize = "data.normalize={mean:[0.5],std:[0.25]},null"
    first = labbook(*TINY, normalize, "+optimizer.foreach=true", "sweep.name=mine")
    assert done(first)
    second = labbook(*TINY, normalize, "sweep.name=mine")
    sweep = done(second)
    assert len(runs_of(sweep)) == 4
    rows = summary_of(sweep)
    assert len(rows) == 4
    assert {(row["optimizer.foreach"], row["data.normalize"] == "null") for row in rows} == {
        (foreach, none) for foreach in ("true", "default") for none in (True, False)
    }
    for name in runs_of(sweep):
        (sweep / name / "metrics.json").write_text(json.dumps(metrics_of(sweep / name) | {"val/acc": 0.5}))
    with_and_without = sorted(
        runs_of(sweep), key=lambda name: "foreach: true" in (sweep / name / "config.yaml").read_text()
    )
    for best in (with_and_without[0], with_and_without[-1]):
        metrics = metrics_of(sweep / best)
        (sweep / best / "metrics.json").write_text(json.dumps(metrics | {"val/acc": 0.9}))
        ended = labbook(*TINY, normalize, "sweep.name=mine")
        (line,) = [line for line in ended.out.splitlines() if line.startswith("to train it again: ")]
        again = labbook(*shlex.split(line.rpartition("python train.py ")[2]), "--cfg", "job")
        assert again.code == 0, again.err
        assert ("foreach: true" in again.out) == ("foreach: true" in (sweep / best / "config.yaml").read_text())
        (sweep / best / "metrics.json").write_text(json.dumps(metrics | {"val/acc": 0.5}))


def test_a_run_of_a_sweep_is_trained_on_as_a_copy(labbook: Command, finished: Path) -> None:
    name = next(iter(runs_of(finished)))
    before = figures_of(finished)
    sentence = labbook(f"resume={finished / name}", "epochs=2").sentence
    copy, command = sentence.rpartition(": mkdir -p logs/runs && ")[2].split(" && python train.py ")
    assert copy == f"cp -r {finished / name} logs/runs/{name}"
    shutil.copytree(finished / name, Path("logs/runs") / name)
    assert metrics_of(labbook(*command.split()).run)["epochs"] == 2
    assert figures_of(finished) == before


def test_a_file_of_settings_that_is_edited_meanwhile_is_told_of(
    labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path("mine/experiment/own.yaml")
    file.parent.mkdir(parents=True)
    text = "# @package _global_\noptimizer:\n  lr: 0.01\n"
    file.write_text(text)
    run_task = run_job.attempt_run

    def attempts(*arguments: Any) -> float:
        file.write_text(text.replace("0.01", "0.02"))
        return run_task(*arguments)

    monkeypatch.setattr(run_job, "attempt_run", attempts)
    ended = labbook(*TINY, "--config-dir=mine", "experiment=own", WIDTHS)
    first, second = (line for line in ended.out.splitlines() if line.startswith("run ") and "/2: " in line)
    name = second.rpartition(": ")[2]
    notes = [line for line in ended.out.splitlines() if line.startswith("note: a settings file")]
    assert notes == [f"note: a settings file was edited since the sweep started; {name} uses the new one"]
    assert first.rpartition(": ")[2] != name

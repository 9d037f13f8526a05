"""Seeds, folds and swept settings: which runs a sweep has, their names, and its best one."""

import json
import re
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from labbook.reports.confusion import setting_confusion
from labbook.reports.grouping import group_runs
from labbook.reports.read_runs import read_sweep
from labbook.reports.summary_facts import evidence_sentences
from labbook.sweeps import run_job
from labbook.sweeps.best_experiment import run_of
from labbook.sweeps.best_experiment import runs_of as every
from tests.conftest import Command
from tests.data.samples import images, write_mnist
from tests.runs.test_resume import signal_at
from tests.sweeps.running import (
    LONGER,
    PLAIN,
    TINY,
    WIDTHS,
    begun,
    done,
    figures_of,
    metrics_of,
    needs,
    runs_of,
    summary_of,
)


def test_seeds_repeat_every_setting(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS, "seeds=2", "seed=7"))
    seeds = sorted((int(re.findall(r"width-(\d+)", name)[0]), run["seed"]) for name, run in runs_of(sweep).items())
    assert seeds == [(4, 7), (4, 8), (8, 7), (8, 8)]


def test_folds_are_a_cross_validation(labbook: Command) -> None:
    """Each training image is a validation image of one run; a setting has one row over its folds."""
    sweep = done(labbook(*TINY, "model.width=4", "folds=2"))
    runs = runs_of(sweep)
    assert len(runs) == 2
    assert {(run["val_images"], sum(map(sum, run["val/confusion_matrix"]))) for run in runs.values()} == {(50, 50)}
    assert len({run["data"]["val"]["content"] for run in runs.values()}) == 2
    rows = summary_of(sweep)
    assert [row["runs"] for row in rows] == ["2"]
    report = group_runs(read_sweep(sweep))
    counts, _ = setting_confusion(report.rows[0]) or pytest.fail("no matrix")
    assert counts.sum() == 100
    accuracy = report.rows[0].exact("val/acc")
    assert accuracy is not None
    assert counts.trace() / 100 == pytest.approx(accuracy.mean)
    assert evidence_sentences(report)[0] == "n = 2 runs with different folds."
    again = (sweep / "experiment" / "best.yaml").read_text()
    assert "fold" not in again.partition("\n")[2].partition("\n")[2]
    alone = labbook(*PLAIN, "epochs=1", "model.width=4", "folds=4", "fold=2")
    assert alone.code == 0, alone.err
    assert "fold 2 of 4: validation on 25 of 100 images" in alone.out + alone.err


@pytest.mark.slow
def test_seeds_alone_are_a_sweep(labbook: Command) -> None:
    sweep = done(labbook(*TINY, "model.width=4", "seeds=2", "seed=0"))
    assert sorted(run["seed"] for run in runs_of(sweep).values()) == [0, 1]
    assert len((sweep / "summary.csv").read_text().splitlines()) == 2
    more = labbook(*TINY, "model.width=4", "seeds=3", "seed=0")
    assert done(more) == sweep
    assert begun(more.out) == 1


@pytest.mark.slow
def test_settings_that_come_to_the_same_run_are_done_once(labbook: Command) -> None:
    ended = labbook(*TINY, "optimizer.lr=0.001,1e-3", "optimizer.weight_decay=0,0.0")
    sweep = done(ended)
    assert begun(ended.out) == 1
    (name,) = runs_of(sweep)
    assert f"duplicate settings, run once: {name}" in ended.out.splitlines()


@pytest.mark.slow
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


def test_the_best_can_be_done_again(labbook: Command, finished: Path) -> None:
    ended = labbook(*TINY, WIDTHS)
    sweep = done(ended)
    assert sweep == finished
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


@pytest.mark.slow
@pytest.mark.parametrize("search", [False, pytest.param(True, marks=needs("optuna"))])
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


@pytest.mark.slow
def test_a_setting_can_be_taken_away_in_a_sweep(labbook: Command) -> None:
    sweep = done(labbook(*TINY, "sweep.name=mine", "~trainer.profiler"))
    (file,) = sweep.glob("*/config.yaml")
    assert "profiler" not in OmegaConf.load(file).trainer


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


@pytest.mark.slow
def test_a_run_of_a_sweep_is_trained_on_as_a_copy(labbook: Command, finished: Path) -> None:
    name = next(iter(runs_of(finished)))
    before = figures_of(finished)
    sentence = labbook(f"resume={finished / name}", "epochs=2").sentence
    copy, command = sentence.rpartition(": mkdir -p logs/runs && ")[2].split(" && python train.py ")
    assert copy == f"cp -r {finished / name} logs/runs/{name}"
    shutil.copytree(finished / name, Path("logs/runs") / name)
    assert metrics_of(labbook(*command.split()).run)["epochs"] == 2
    assert figures_of(finished) == before


@pytest.mark.slow
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


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_two_sets_in_mnist_s_format_are_two_runs(labbook: Command, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        part = images(30, 1, 28, 10, seed=seed)
        write_mnist(tmp_path / name / "MNIST" / "raw", part, part)
    words = ("-m", "data=mnist", "data.root=one,two", "model=mlp", "epochs=1", "callbacks=none", "logger=none")
    sweep = labbook(*words).run
    found = [metrics_of(path.parent) for path in sweep.glob("*/metrics.json")]
    assert len({metrics["test_set"] for metrics in found}) == len(found) == 2

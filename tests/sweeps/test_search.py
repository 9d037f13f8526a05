"""A search with Optuna: so many trials in total, whatever ended them in between."""

import signal
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs the extra: make setup EXTRAS=optuna")

import optuna
from optuna.trial import FrozenTrial, TrialState

from labbook.errors import SettingError
from labbook.inference.evaluate import final_test
from labbook.runs import locks
from labbook.sweeps import optuna_study
from labbook.sweeps import optuna_study as studies
from labbook.sweeps.naming import parse_overrides
from tests.conftest import Command, Ended
from tests.runs.test_resume import signal_at
from tests.sweeps.running import LONGER, TINY, begun, done, figures_of, folder_of, killed, metrics_of, runs_of

pytestmark = pytest.mark.extra

OVER = ("hydra/sweeper=optuna", "optimizer.lr=tag(log,interval(1e-4,1e-1))", "model.width=choice(4,8)")


def trials_of(sweep: Path, *states: TrialState) -> list[FrozenTrial]:
    study = optuna.load_study(study_name="labbook", storage=f"sqlite:///{sweep}/study.db")
    return [trial for trial in study.get_trials() if not states or trial.state in states]


def drawn(sweep: Path) -> list[dict[str, Any]]:
    """What the trials that count were about, in their order."""
    return [trial.params for trial in trials_of(sweep, TrialState.COMPLETE, TrialState.PRUNED)]


def check(sweep: Path, number: int) -> None:
    """So many trials are complete, each with the objective of a run of its own."""
    trials = trials_of(sweep, TrialState.COMPLETE)
    assert len(trials) == number
    runs = runs_of(sweep)
    assert len(runs) == number
    assert sorted(trial.values[0] for trial in trials) == sorted(run["objective"] for run in runs.values())
    assert not trials_of(sweep, TrialState.RUNNING, TrialState.WAITING)


@pytest.mark.slow
def test_a_search_has_its_trials_in_total(labbook: Command) -> None:
    first = labbook(*TINY, *OVER, "sweep.n_trials=3")
    sweep = done(first)
    assert sweep.name == "epochs-1_model-mlp_limit-100_precision-32_by_width_lr_search"
    assert begun(first.out) == 3
    check(sweep, 3)
    again = labbook(*TINY, *OVER, "sweep.n_trials=3")
    assert done(again) == sweep
    assert begun(again.out) == 0
    assert "3 runs: 3 finished" in again.out
    before = runs_of(sweep)
    more = labbook(*TINY, *OVER, "sweep.n_trials=5")
    assert done(more) == sweep
    assert begun(more.out) == 2
    check(sweep, 5)
    assert before.items() <= runs_of(sweep).items()
    whole = done(labbook(*TINY, *OVER, "sweep.n_trials=5", "log_dir=whole"))
    assert drawn(sweep) == drawn(whole)
    assert figures_of(sweep) == figures_of(whole)
    fewer = labbook(*TINY, *OVER, "sweep.n_trials=2")
    assert done(fewer) == sweep
    assert begun(fewer.out) == 0
    check(sweep, 5)


def test_a_study_keeps_its_settings_and_its_objective(labbook: Command) -> None:
    sweep = done(labbook(*TINY, *OVER, "sweep.n_trials=1", "sweep.name=mine"))
    files = {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    wider, narrower, plain = (
        "model.width=choice(4,8,16)",
        "optimizer.lr=tag(log,interval(1e-3,1e-1))",
        "interval(1e-4,1e-1)",
    )
    for changed, sentence in {
        wider: "model.width=choice(4,8,16): the study of this sweep has model.width=choice(4,8); ",
        f"optimizer.lr={plain}": "the study of this sweep has optimizer.lr=tag(log,interval(0.0001,0.1)); ",
        "objective=val/loss": "objective=val/loss: the study of this sweep is by objective=val/acc; ",
    }.items():
        ended = labbook(*TINY, *OVER, "sweep.n_trials=2", "sweep.name=mine", changed)
        assert (ended.code, ended.out.splitlines()[1:]) == (2, [])
        assert sentence in ended.sentence
        assert ended.sentence.endswith("; use the same, or sweep.name=NAME for a new study")
    assert {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()} == files
    assert len(runs_of(done(labbook(*TINY, *OVER, "sweep.n_trials=2", "sweep.name=mine", narrower)))) == 2


@pytest.mark.skipif(find_spec("cmaes") is not None, reason="the package is there")
def test_a_sampler_that_needs_another_package(labbook: Command) -> None:
    ended = labbook(*TINY, *OVER, "hydra/sweeper/sampler=cmaes")
    assert ended.code == 2
    assert ended.sentence == "hydra/sweeper/sampler: CmaEsSampler needs the package cmaes: pip install cmaes"
    assert not Path("logs").exists()


def test_lists_and_mappings_are_drawn_whole(labbook: Command) -> None:
    ended = labbook(*TINY, "hydra/sweeper=optuna", "+model.note=choice([1,2],{a:1})")
    assert "model.note is not a setting" in ended.sentence


@pytest.mark.slow
def test_an_interrupted_search_goes_on_with_the_trial_that_was_cut_short(
    labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = done(labbook(*LONGER, *OVER, "sweep.n_trials=3", "log_dir=whole"))
    signal_at(monkeypatch, "on_train_epoch_end", 1, 0, signal.SIGINT)
    stopped = labbook(*LONGER, *OVER, "sweep.n_trials=3")
    assert stopped.code == 130
    assert "the sweep is not done: use the same command to resume" in stopped.out
    rest = labbook(*LONGER, *OVER, "sweep.n_trials=3")
    sweep = done(rest)
    assert begun(rest.out) == 2
    assert sorted(run.get("resumed", 0) for run in runs_of(sweep).values()) == [0, 0, 1]
    check(sweep, 3)
    assert drawn(sweep) == drawn(whole)
    assert figures_of(sweep) == figures_of(whole)


@pytest.mark.slow
def test_a_killed_search_goes_on_and_draws_the_same(labbook: Command, tmp_path: Path) -> None:
    whole = done(labbook(*LONGER, *OVER, "sweep.n_trials=4", "log_dir=whole"))
    killed(*LONGER, *OVER, "sweep.n_trials=4", cwd=tmp_path, epoch=5)
    sweep = Path("logs/sweeps") / whole.name
    assert len(trials_of(sweep, TrialState.RUNNING)) == 1
    rest = labbook(*LONGER, *OVER, "sweep.n_trials=4")
    assert done(rest) == sweep
    assert begun(rest.out) == 2
    assert "resuming from epoch 2" in rest.out
    check(sweep, 4)
    assert drawn(sweep) == drawn(whole)
    assert figures_of(sweep) == figures_of(whole)


@pytest.mark.slow
def test_what_was_drawn_twice_is_counted_as_done_by_this_command(labbook: Command) -> None:
    ended = labbook(*TINY, "hydra/sweeper=optuna", "model.width=choice(4,8)", "sweep.n_trials=4")
    sweep = done(ended)
    assert len(runs_of(sweep)) == 2
    assert len(trials_of(sweep, TrialState.COMPLETE)) == 4
    assert "this command: 2 finished\n" in ended.out


def breaking(monkeypatch: pytest.MonkeyPatch, times: int) -> Callable[[], int]:
    """Break the end of the first trainings; returns what counts all."""
    original, calls = final_test.run_final_test, 0

    def evaluate(*arguments: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise KeyError("a bug")
        return original(*arguments)

    monkeypatch.setattr(final_test, "run_final_test", evaluate)
    return lambda: calls


@pytest.mark.slow
def test_trials_that_fail_do_not_go_on_for_ever(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = breaking(monkeypatch, times=1000)
    ended = labbook(*TINY, *OVER, "sweep.n_trials=3")
    assert ended.code == 1
    assert ended.err.strip().splitlines()[-1] == "error: 3 of 3 runs failed: use the same command to try again"
    assert calls() == 3
    sweep = folder_of(ended)
    assert len(trials_of(sweep, TrialState.FAIL)) == len(trials_of(sweep)) == 3
    again = labbook(*TINY, *OVER, "sweep.n_trials=3")
    assert again.code == 1
    assert calls() == 6
    assert len(runs_of(sweep)) == 3


@pytest.mark.slow
def test_failed_trials_are_tried_again_by_the_same_command(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(monkeypatch, times=1)
    first = labbook(*TINY, *OVER, "sweep.n_trials=3")
    assert first.code == 1
    sweep = folder_of(first)
    assert sorted(run["status"] for run in runs_of(sweep).values()) == ["failed", "finished", "finished"]
    rest = labbook(*TINY, *OVER, "sweep.n_trials=3")
    assert done(rest) == sweep
    check(sweep, 3)


@pytest.mark.slow
def test_failed_trials_may_be_left_so(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(monkeypatch, times=1)
    sweep = folder_of(labbook(*TINY, *OVER, "sweep.n_trials=3"))
    rest = labbook(*TINY, *OVER, "sweep.n_trials=3", "sweep.retry_failed=false")
    assert begun(rest.out) == 1  # another one in its place
    assert len(trials_of(sweep, TrialState.COMPLETE)) == 3
    assert sorted(run["status"] for run in runs_of(sweep).values()) == ["failed"] + ["finished"] * 3


def again(labbook: Command, ended: Ended) -> dict[str, Any]:
    """What the command that does the best again comes to."""
    (line,) = [line for line in ended.out.splitlines() if line.startswith("to train it again: ")]
    command = line.rpartition("python train.py ")[2].split()
    assert command == [f"--config-dir={folder_of(ended)}", "experiment=best"]
    return metrics_of(labbook(*command).run)


@pytest.mark.parametrize(
    ("objective", "best"), [("val/acc", max), pytest.param("val/loss", min, marks=pytest.mark.slow)]
)
def test_the_best_is_found_and_can_be_done_again(
    labbook: Command, objective: str, best: Callable[[list[float]], float]
) -> None:
    ended = labbook(*TINY, *OVER, "sweep.n_trials=3", f"objective={objective}", "data.limit=300")
    sweep = done(ended)
    study = optuna.load_study(study_name="labbook", storage=f"sqlite:///{sweep}/study.db")
    values = [run[objective] for run in runs_of(sweep).values()]
    assert len(set(values)) > 1
    assert study.best_value == best(values)
    metrics = again(labbook, ended)
    assert metrics[objective] == best(values)
    assert any(
        run[objective] == metrics[objective] and run["test/acc"] == metrics["test/acc"]
        for run in runs_of(sweep).values()
    )


def test_two_searches_on_one_study_leave_each_other_s_trials(labbook: Command) -> None:
    sweep = done(labbook(*TINY, *OVER, "sweep.n_trials=1", "sweep.name=mine"))
    study = optuna.load_study(study_name="labbook", storage=f"sqlite:///{sweep}/study.db")
    worker = "search-launch-1a2b3c4d"
    trial = studies.ask_trial(study, worker, {})
    with locks.run_lock(sweep, worker):
        assert done(labbook(*TINY, *OVER, "sweep.n_trials=2", "sweep.name=mine")) == sweep
        assert [running.number for running in trials_of(sweep, TrialState.RUNNING)] == [trial.number]
        assert len(runs_of(sweep)) == 1
    studies.requeue_trials(study, lambda name: locks.lock_owner(sweep, name) is not None, retry_failed=False)
    assert not trials_of(sweep, TrialState.RUNNING)


def test_a_trial_is_the_mean_over_its_seeds_and_folds(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    space = ("hydra/sweeper=optuna", "model.width=choice(4,8)", "sweep.name=mine")
    breaking(monkeypatch, times=1)
    failed = labbook(*TINY, *space, "sweep.n_trials=1", "seeds=2", "folds=2")
    assert (failed.code, "1 of 4 runs failed" in failed.err) == (1, True)
    sweep = done(labbook(*TINY, *space, "sweep.n_trials=1", "seeds=2", "folds=2"))
    runs = runs_of(sweep).values()
    assert sorted((run["seed"], run["status"]) for run in runs) == [(42, "finished")] * 2 + [(43, "finished")] * 2
    (trial,) = trials_of(sweep, TrialState.COMPLETE)
    assert trial.values == [fmean(run["objective"] for run in runs)]
    assert len({run["objective"] for run in runs}) > 1
    other = labbook(*TINY, *space, "sweep.n_trials=2", "seeds=2")
    assert (other.code, other.sentence) == (
        2,
        "seeds and folds make 2 runs of each trial: in the study of this sweep a trial has 4; use the same, or"
        " sweep.name=NAME for a new study",
    )


@pytest.mark.parametrize(("drawn_from", "refused"), [("choice(0.1,0.2)", False), ("choice(0.0,0.2)", True)])
def test_a_search_over_how_much_is_held_out_never_holds_out_nothing(drawn_from: str, refused: bool) -> None:
    space, _, _ = optuna_study.read_space(parse_overrides([f"data.val_fraction={drawn_from}"]))
    with pytest.raises(SettingError, match="use an interval above 0") if refused else nullcontext():
        optuna_study.check_search_objective(space, "val/acc")

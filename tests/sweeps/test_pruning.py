"""A search ends hopeless trials early."""

import pytest

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs the extra: make setup EXTRAS=optuna")

import optuna
from optuna.trial import TrialState

from tests.conftest import Command
from tests.sweeps.running import LONGER, begun, done, runs_of
from tests.sweeps.test_search import trials_of

pytestmark = pytest.mark.extra


# Optuna's median rule waits for five trials; these are judged from the second on.
PRUNER = optuna.pruners.MedianPruner(n_startup_trials=1)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    from labbook.callbacks import pruning
    from labbook.sweeps import optuna_study as study

    def opened(*arguments: str) -> optuna.Study:
        made = original(*arguments)
        made.pruner = PRUNER
        return made

    def trial_of(storage: str, number: int) -> optuna.trial.Trial:
        trial = given(storage, number)
        trial.study.pruner = PRUNER
        return trial

    original, given = study.open_study, pruning.running_trial
    monkeypatch.setattr(study, "open_study", opened)
    monkeypatch.setattr(pruning, "running_trial", trial_of)


# With this seed the learning rates are 0.02, 3e-8, 0.01 and 1e-8.
HOPELESS = ("hydra/sweeper=optuna", "optimizer.lr=tag(log,interval(1e-8,1e-1))", "sweep.n_trials=4",
            "hydra.sweeper.sampler.seed=6")  # fmt: skip


@pytest.mark.usefixtures("strict")
@pytest.mark.slow
def test_hopeless_trials_are_ended_early(labbook: Command) -> None:
    ended = labbook(*LONGER, *HOPELESS)
    sweep = done(ended)
    first, second, _, last = (trial.state for trial in trials_of(sweep))
    assert (first, second, last) == (TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED)
    runs = runs_of(sweep)
    number = len(trials_of(sweep, TrialState.PRUNED))
    assert sorted(run["status"] for run in runs.values()) == ["finished"] * (4 - number) + ["pruned"] * number
    assert all(run["epochs"] < 3 for run in runs.values() if run["status"] == "pruned")
    assert ended.out.count("worse than the median of the other trials") == number
    assert f"this command: {4 - number} finished, {number} pruned" in ended.out
    again = labbook(*LONGER, *HOPELESS)
    assert done(again) == sweep
    assert begun(again.out) == 0
    assert runs_of(sweep) == runs


@pytest.mark.slow
@pytest.mark.usefixtures("strict")
def test_pruning_can_be_left_out(labbook: Command) -> None:
    sweep = done(labbook(*LONGER, *HOPELESS, "sweep.prune=false", "sweep.n_trials=2"))
    assert {trial.state for trial in trials_of(sweep)} == {TrialState.COMPLETE}
    assert {run["status"] for run in runs_of(sweep).values()} == {"finished"}

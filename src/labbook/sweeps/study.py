"""Optuna's study of a search: which of its trials are done, and which are to be done again."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import optuna
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState

from labbook.config import lower_is_better
from labbook.errors import SettingError, first_line

STUDY = "labbook"  # its name in its storage
AGAIN = "queued again"  # numbers of trials, noted on the study
SAMPLERS = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")


def opened(storage: str, objective: str) -> optuna.Study:
    """The study as it stands, or a new one.

    Raises:
        SettingError: the storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction: Literal["minimize", "maximize"] = "minimize" if lower_is_better(objective) else "maximize"
    try:
        return optuna.create_study(study_name=STUDY, storage=storage, direction=direction, load_if_exists=True)
    except Exception as error:  # of SQLAlchemy, a database's driver or Optuna
        raise SettingError(f"hydra.sweeper.storage={storage} cannot be opened: {first_line(error)}") from error


def ask(study: optuna.Study, worker: str) -> optuna.Trial:
    """A new trial, marked as that of a worker."""
    trial = study.ask()
    trial.set_user_attr("worker", worker)
    return trial


def trial_of(storage: str, number: int) -> optuna.trial.Trial:
    """A running trial, as the run that does it needs it."""
    study = optuna.load_study(study_name=STUDY, storage=storage)
    trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    return optuna.trial.Trial(study, trial_id)


def sampler(node: DictConfig, drawn: int) -> optuna.samplers.BaseSampler:
    """The sampler after `drawn` trials: a search that goes on draws what one that never stopped would draw."""
    options = {} if node.get("seed") is None else {"seed": node.seed + drawn}
    made: optuna.samplers.BaseSampler = instantiate(node, **options, _execution_whitelist_=SAMPLERS)
    return made


def tell(study: optuna.Study, trial: optuna.Trial, state: str, metrics: Mapping[str, Any]) -> None:
    """What became of a trial's run."""
    if state == "finished":
        study.tell(trial, values=float(metrics["objective"]), skip_if_finished=True)
    else:
        became = TrialState.PRUNED if state == "pruned" else TrialState.FAIL
        study.tell(trial, state=became, skip_if_finished=True)


def requeue(study: optuna.Study, working: Collection[str], retry_failed: bool) -> None:
    """Queue trials once more: those whose search is not `working` any more and, if wished, those that failed."""
    again: list[int] = study.user_attrs.get(AGAIN, [])
    for trial in study.get_trials(deepcopy=False):
        left = trial.state is TrialState.RUNNING and trial.user_attrs.get("worker") not in working
        failed = trial.state is TrialState.FAIL and retry_failed
        if left:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        if (left or failed) and trial.number not in again:
            again.append(trial.number)
            if trial.params:
                study.enqueue_trial(trial.params)
    study.set_user_attr(AGAIN, again)


def drawn(study: optuna.Study) -> int:
    """How many different trials there are, not counting those that were queued again or wait for it."""
    again = study.user_attrs.get(AGAIN, [])
    trials = study.get_trials(deepcopy=False)
    return sum(trial.number not in again and trial.state is not TrialState.WAITING for trial in trials)


def taken(study: optuna.Study, worker: str) -> int:
    """How many trials are done or being done; one that failed counts for the search that tried it."""

    def counts(trial: FrozenTrial) -> bool:
        done = trial.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        return done or (trial.state is TrialState.FAIL and trial.user_attrs.get("worker") == worker)

    return sum(counts(trial) for trial in study.get_trials(deepcopy=False))

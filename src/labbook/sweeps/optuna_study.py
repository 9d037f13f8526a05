"""Optuna's study of a search: finished trials, and trials to repeat."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    check_distribution_compatibility,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState

from labbook.config.schema import lower_is_better
from labbook.errors import SettingError, first_line
from labbook.runs.sweep_folder import STUDY
from labbook.sweeps.optuna_internals import distribution_from

SCALARS = (str, int, float, bool, type(None))


def read_space(overrides: Iterable[Override]) -> tuple[dict[str, BaseDistribution], dict[str, str], list[str]]:
    """What is drawn, fixed and deleted; a later override replaces an earlier one."""
    space: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    removed: list[str] = []
    for item in overrides:
        name = item.get_key_element()
        space.pop(name, None)
        fixed.pop(name, None)
        if item.is_delete():
            removed.append(str(item.input_line))
        elif item.is_sweep_override():
            space[name] = distribution_of(item)
        else:
            fixed[name] = item.get_value_element_as_str()
    return space, fixed, removed


def distribution_of(item: Override) -> BaseDistribution:
    value = item.value()
    if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        if value.start > value.end:
            raise SettingError(f"{item.input_line}: an interval begins with its lower end")
        if "log" in value.tags and value.start <= 0:
            raise SettingError(f"{item.input_line}: a logarithmic interval begins above 0")
    if item.is_choice_sweep() and any(
        not isinstance(each, SCALARS) for each in item.sweep_iterator(Transformer.encode)
    ):
        return CategoricalDistribution(list(item.sweep_string_iterator()))  # lists and mappings, as typed
    try:
        return distribution_from(item)
    except (AssertionError, NotImplementedError, TypeError, ValueError) as error:
        raise SettingError(f"{item.input_line}: {first_line(error)}") from error


def check_search_objective(space: Mapping[str, BaseDistribution], objective: str) -> None:
    """Refuse a search in which some trials have no validation images, and so another objective."""
    if not objective.startswith("val/"):
        return
    fraction, held_out = space.get("data.val_fraction"), space.get("data.validation")
    if fraction is not None and can_be(fraction, 0):
        raise SettingError(
            f"data.val_fraction={describe_distribution(fraction)}: with 0 there are no validation images for"
            f" objective={objective}; use an interval above 0"
        )
    if held_out is not None and can_be(held_out, "test"):
        raise SettingError(
            f"data.validation={describe_distribution(held_out)}: the test set must not select anything: leave test out"
        )


def can_be(drawn: Any, value: Any) -> bool:
    """Whether a value can be drawn, beside others."""
    if isinstance(drawn, CategoricalDistribution):
        return value in drawn.choices and not drawn.single()
    return value == 0 and drawn.low <= 0 and not drawn.single()


def describe_distribution(drawn: Any) -> str:
    if isinstance(drawn, CategoricalDistribution):
        return f"choice({','.join(map(str, drawn.choices))})"
    ends = f"interval({drawn.low},{drawn.high})"
    return f"tag(log,{ends})" if drawn.log else ends


AGAIN = "queued again"  # numbers of trials, noted on the study
OBJECTIVE = "objective"  # the objective, noted on the study
RUNS = "runs of a trial"  # how many; the value of a trial is their mean
SAMPLERS = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")


def open_study(storage: str, objective: str, mode: str = "auto", runs: int = 1) -> optuna.Study:
    """The existing study, or a new one."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction: Literal["minimize", "maximize"] = "minimize" if lower_is_better(objective, mode) else "maximize"
    with study_storage_errors(storage):
        study = optuna.create_study(study_name=STUDY, storage=storage, direction=direction, load_if_exists=True)
    if OBJECTIVE not in study.user_attrs:
        study.set_user_attr(OBJECTIVE, objective)
        study.set_user_attr(RUNS, runs)
    return study


def existing_study(storage: str) -> optuna.Study | None:
    kind, _, file = storage.partition(":///")
    if kind == "sqlite" and not Path(file).exists():
        return None
    with study_storage_errors(storage):
        try:
            return optuna.load_study(study_name=STUDY, storage=storage)
        except KeyError:
            return None


@contextmanager
def study_storage_errors(storage: str) -> Iterator[None]:
    """Within this context, errors of a study's storage become sentences."""
    try:
        yield
    except Exception as error:  # of SQLAlchemy, a database's driver or Optuna
        raise SettingError(f"hydra.sweeper.storage={storage} cannot be opened: {first_line(error)}") from error


def check_study(
    study: optuna.Study,
    objective: str,
    mode: str,
    before: str | None,
    space: Mapping[str, BaseDistribution],
    runs: int = 1,
) -> None:
    """Refuse to continue a study with another objective, or with other distributions.

    `before` is the objective of a study from before studies noted it.
    """
    new = "use the same, or sweep.name=NAME for a new study"
    known = study.user_attrs.get(OBJECTIVE, before)
    if known not in (None, objective):
        raise SettingError(f"objective={objective}: the study of this sweep is by objective={known}; {new}")
    if lower_is_better(objective, mode) != (study.direction is StudyDirection.MINIMIZE):
        raise SettingError(
            f"objective_mode={mode}: the study of this sweep is to {study.direction.name.lower()}; {new}"
        )
    if (was_runs := study.user_attrs.get(RUNS, 1)) != runs:
        raise SettingError(
            f"seeds and folds make {runs} runs of each trial: in the study of this sweep a trial has {was_runs}; {new}"
        )
    for trial in study.get_trials(deepcopy=False):
        for name, distribution in trial.distributions.items():
            try:
                if name in space:
                    check_distribution_compatibility(distribution, space[name])
            except ValueError as error:
                was, now = describe_distribution(distribution), describe_distribution(space[name])
                raise SettingError(f"{name}={now}: the study of this sweep has {name}={was}; {new}") from error


def rehearse_sampler(node: DictConfig, space: Mapping[str, BaseDistribution]) -> None:
    """Draw a few trials, so that a sampler that cannot draw is refused at the start."""
    name = str(node.get("_target_")).rpartition(".")[2]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(sampler=sampler_after(node, 0))
        for value in (0.0, 1.0, 2.0):
            study.tell(study.ask(dict(space)), value)
    except ImportError as error:
        missing = error.name or first_line(error)
        raise SettingError(
            f"hydra/sweeper/sampler: {name} needs the package {missing}: pip install {missing}"
        ) from error
    except (TypeError, ValueError, HydraException) as error:
        raise SettingError(f"hydra/sweeper/sampler: {name}: {first_line(error.__cause__ or error)}") from error


def ask_trial(study: optuna.Study, worker: str, space: Mapping[str, BaseDistribution]) -> optuna.Trial:
    """A new trial with values from `space`, marked with its worker."""
    trial = study.ask(dict(space))
    trial.set_user_attr("worker", worker)
    return trial


def sampler_after(node: DictConfig, drawn: int) -> optuna.samplers.BaseSampler:
    """The sampler after `drawn` trials: a resumed search draws the same as one without a break."""
    options = {} if node.get("seed") is None else {"seed": node.seed + drawn}
    made: optuna.samplers.BaseSampler = instantiate(node, **options, _execution_whitelist_=SAMPLERS)
    return made


def record_trial(study: optuna.Study, trial: optuna.Trial, runs: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Record the result of a trial: the mean objective of its runs, given as states and metrics."""
    states = {state for state, _ in runs}
    if states == {"finished"}:
        study.tell(trial, values=fmean(metrics["objective"] for _, metrics in runs), skip_if_finished=True)
    else:
        became = TrialState.PRUNED if states <= {"finished", "pruned"} else TrialState.FAIL
        study.tell(trial, state=became, skip_if_finished=True)


def requeue_trials(study: optuna.Study, is_working: Callable[[str], object], retry_failed: bool) -> None:
    """Queue trials again: those of workers that ended and, with `retry_failed`, failed ones."""
    again: list[int] = study.user_attrs.get(AGAIN, [])
    for trial in study.get_trials(deepcopy=False):
        left = trial.state is TrialState.RUNNING and not is_working(str(trial.user_attrs.get("worker")))
        failed = trial.state is TrialState.FAIL and retry_failed
        if left:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        if (left or failed) and trial.number not in again:
            again.append(trial.number)
            if trial.params:
                study.enqueue_trial(trial.params)
    study.set_user_attr(AGAIN, again)


def drawn_trials(study: optuna.Study) -> int:
    """The number of different trials, without those that were queued again or wait for it."""
    again, trials = study.user_attrs.get(AGAIN, []), study.get_trials(deepcopy=False)
    return sum(trial.number not in again and trial.state is not TrialState.WAITING for trial in trials)


def taken_trials(study: optuna.Study, worker: str) -> int:
    """The number of trials that are done or running; a failed one counts for the search that tried it."""
    taken, trials = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING), study.get_trials(deepcopy=False)
    failed: list[str | None] = [item.user_attrs.get("worker") for item in trials if item.state is TrialState.FAIL]
    return sum(trial.state in taken for trial in trials) + failed.count(worker)

"""A search with Optuna: its study is in the sweep's folder, so that the same command resumes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper
from omegaconf import DictConfig

from labbook.config.schema import GROUPS
from labbook.errors import SettingError, list_choices
from labbook.runs import locks
from labbook.runs.sweep_folder import read_manifest
from labbook.sweeps.grid_sweeper import repeated_settings
from labbook.sweeps.naming import given_overrides, override_combinations, parse_overrides
from labbook.sweeps.sweep_command import SweepCommand

if TYPE_CHECKING:
    import optuna

SAMPLER = "hydra/sweeper/sampler"  # a group of the plugin


class OptunaSearch(OptunaSweeper):
    """`sweep.n_trials` trials in total, drawn by Optuna's sampler: `hydra/sweeper=optuna`."""

    command: SweepCommand
    space: dict[str, Any]  # what is drawn, fixed and deleted
    fixed: dict[str, str]
    removed: list[str]

    def __init__(self, sampler: Any, storage: str | None, n_jobs: int = 1, params: DictConfig | None = None) -> None:
        # Hydra's own loop is not used: it does not resume trials and does not prune.
        super().__init__(
            sampler,
            direction="maximize",
            storage=None,
            study_name=None,
            n_trials=0,
            n_jobs=n_jobs,
            max_failure_rate=1.0,
            custom_search_space=None,
            params=params,
        )
        if isinstance(self.sweeper.sampler, partial):
            raise SettingError("hydra/sweeper/sampler=grid: for every combination use hydra/sweeper=basic")
        self.sampler = sampler

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        check_sampler(config.hydra.runtime.choices[SAMPLER])
        preset, command = given_overrides(config.hydra)
        self.arguments = [*preset, *command]
        repeated = repeated_settings(config, self.arguments)
        self.command = SweepCommand(config, [*self.arguments, *repeated], search=True)
        self.repeats = override_combinations(parse_overrides(repeated))  # the runs of one trial; [[]]: one run
        self.storage = str(config.hydra.sweeper.storage)  # only now, because it is in the sweep's folder
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.command.lead(self.sweeper.launcher, hydra_context)

    def sweep(self, arguments: list[str]) -> None:
        """Ask, launch and tell until the study has its trials, and print the table.

        Raises:
            TrainingError: a run failed.
        """
        from labbook.sweeps import optuna_study as studies  # imports Optuna

        launcher, total = self.command.launcher, self.command.config.sweep.n_trials
        worker = f"search-{launcher.launch_id}"
        names: list[str] = []
        self.space, self.fixed, self.removed = studies.read_space(parse_overrides(self.arguments))
        with self.command as command, self._begun(worker):
            folder = command.folder.path
            with locks.run_lock(folder, "study", patience=60):  # another search may be creating it
                study = studies.open_study(
                    self.storage, command.config.objective, command.config.objective_mode, len(self.repeats)
                )
                is_working = partial(locks.lock_owner, folder)
                studies.requeue_trials(study, is_working, command.config.sweep.retry_failed)
            launcher.total, launcher.searching = total * len(self.repeats), True
            while (taken := studies.taken_trials(study, worker)) < total and not launcher.stopped:
                study.sampler = studies.sampler_after(self.sampler, studies.drawn_trials(study))
                count = min(total - taken, self.sweeper.n_jobs)
                trials = [studies.ask_trial(study, worker, self.space) for _ in range(count)]
                self._launch(trials, first=taken)
                for place, trial in enumerate(trials):
                    runs = launcher.names[place * len(self.repeats) : (place + 1) * len(self.repeats)]
                    studies.record_trial(study, trial, [command.folder.state(name) for name in runs])
                names += launcher.names
            launcher.names = names

    @contextmanager
    def _begun(self, worker: str) -> Iterator[None]:
        """Start the sweep's folder after one trial composes, and hold the lock of this search."""
        from labbook.sweeps import optuna_study as studies

        first = {name: getattr(drawn, "choices", None) or [drawn.low] for name, drawn in self.space.items()}
        example = {**{name: values[0] for name, values in first.items()}, **self.fixed}
        config, folder, launcher = self.command.config, self.command.folder.path, self.command.launcher
        launcher.composer.composed(
            [*(f"{name}={value}" for name, value in example.items()), *self.removed, *self.repeats[0]]
        )
        studies.check_search_objective(self.space, config.objective)
        self._check_forced(example)
        studies.rehearse_sampler(self.sampler, self.space)
        if not config.sweep.rerun and (study := studies.existing_study(self.storage)):
            before = (read_manifest(folder) or {}).get("objective")
            studies.check_study(study, config.objective, config.objective_mode, before, self.space, len(self.repeats))
        launcher.begin()
        with locks.run_lock(folder, worker):
            yield

    def _check_forced(self, example: dict[str, Any]) -> None:
        """Refuse `++GROUP.SETTING=VALUE` if no choice of the drawn group has the setting."""
        composer = self.command.launcher.composer
        for group in GROUPS:
            if group in self.space and any(name.startswith(f"++{group}.") for name in example):
                for choice in self.space[group].choices:
                    composer.fitting([f"{key}={value}" for key, value in {**example, group: choice}.items()])
        composer.check_left_out()

    def _launch(self, trials: "list[optuna.Trial]", first: int) -> None:
        """Run some trials: one run each, or one for each seed and fold."""
        jobs = [
            [*(f"{name}={value}" for name, value in {**trial.params, **self.fixed}.items()), *self.removed,
             f"sweep.job.trial={trial.number}", *repeat]
            for trial in trials for repeat in self.repeats
        ]  # fmt: skip
        self.command.launcher.launch(jobs, initial_job_idx=first * len(self.repeats))


def check_sampler(name: str) -> None:
    """Refuse an unknown sampler: Hydra ignores it, because its choice is optional."""
    valid = GlobalHydra.instance().config_loader().get_group_options(SAMPLER)
    if name not in valid:
        raise SettingError(f"{SAMPLER}={name} is unknown; {list_choices(name, valid)}")

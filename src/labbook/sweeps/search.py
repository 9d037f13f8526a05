"""A search with Optuna: its study lies in the sweep's folder, so that the same command goes on with it."""

from functools import partial
from typing import TYPE_CHECKING, Any

from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper
from omegaconf import DictConfig

from labbook.errors import SettingError
from labbook.sweeps import claims
from labbook.sweeps.command import SweepCommand

if TYPE_CHECKING:
    import optuna


class Search(OptunaSweeper):
    """`sweep.n_trials` trials in total, drawn by Optuna's sampler: `hydra/sweeper=optuna`."""

    command: SweepCommand

    def __init__(self, sampler: Any, storage: str | None, n_jobs: int = 1, params: DictConfig | None = None) -> None:
        # Hydra's own loop is not used: it knows no trials of before and none that were ended early.
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
        """Open the sweep's folder and put the choice of what is left to do in front of the launcher."""
        if config.seeds > 1:
            raise SettingError(f"seeds={config.seeds} repeats a grid; a search (hydra/sweeper=optuna) takes seed=N")
        self.arguments = [*self.sweeper._parse_sweeper_params_config(), *config.hydra.overrides.task]
        self.command = SweepCommand(config, self.arguments, search=True)
        self.storage = str(config.hydra.sweeper.storage)  # only now, as it lies in the sweep's folder
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.command.lead(self.sweeper.launcher, hydra_context)

    def sweep(self, arguments: list[str]) -> None:
        """Ask, launch and tell until the study has its trials; then comes the table.

        Raises:
            SettingError: a setting is wrong.
            TrainingError: a run failed.
        """
        from labbook.sweeps import study as studies  # imports Optuna

        launcher, total = self.command.launcher, self.command.config.sweep.n_trials
        worker = f"search-{launcher.launch_id}"
        names: list[str] = []
        with self.command as command, claims.claimed(command.folder.path, worker):
            command.folder.open(command.over, command.config.objective)
            study = studies.opened(self.storage, command.config.objective)
            studies.requeue(study, claims.held(command.folder.path), command.config.sweep.retry_failed)
            launcher.total = total
            while (missing := total - studies.taken(study, worker)) > 0 and not launcher.stopped:
                study.sampler = studies.sampler(self.sampler, drawn=len(study.get_trials(deepcopy=False)))
                trials = [study.ask() for _ in range(min(missing, self.sweeper.n_jobs))]
                self._launch(trials, worker)
                for trial, name in zip(trials, launcher.names, strict=True):
                    studies.tell(study, trial, *command.folder.state(name))
                names += launcher.names
            launcher.names = names

    def _launch(self, trials: "list[optuna.Trial]", worker: str) -> None:
        """Do the runs of some trials."""
        from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides

        for trial in trials:
            trial.set_user_attr("worker", worker)
        jobs = self.sweeper._configure_trials(trials, *create_params_from_overrides(self.arguments))
        told = [[*job, f"sweep.job.trial={trial.number}"] for job, trial in zip(jobs, trials, strict=True)]
        self.command.launcher.launch(told, initial_job_idx=trials[0].number)

"""Hydra's sweepers, with resume and a result at the end."""

from collections.abc import Sequence
from importlib.util import find_spec

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from labbook.errors import SettingError
from labbook.sweeps.naming import given_overrides, override_combinations, parse_overrides, swept_keys
from labbook.sweeps.sweep_command import SweepCommand


class GridSweeper(Sweeper):
    """Every combination of the swept values, each done once: `hydra/sweeper=basic`."""

    command: SweepCommand

    def __init__(self, max_batch_size: int | None = None, params: dict[str, str] | None = None) -> None:
        self.max_batch_size, self.params = max_batch_size, params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        preset, command = given_overrides(config.hydra)
        arguments = [*preset, *command]
        self.arguments = [*arguments, *repeated_settings(config, arguments)]
        self.command = SweepCommand(config, self.arguments)
        self.config_loader = hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.command.lead(self.launcher, hydra_context)

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Launch all combinations that are not done, and print the table.

        Raises:
            TrainingError: a run failed.
        """
        jobs = override_combinations(parse_overrides(self.arguments, self.config_loader))
        with self.command as command:
            command.launcher.total, command.launcher.at_once = len(jobs), self.max_batch_size
            return command.launcher.launch(jobs, initial_job_idx=0)


def repeated_settings(config: DictConfig, arguments: list[str]) -> list[str]:
    """The overrides that `seeds=N` and `folds=N` add to a sweep, such as `seed=42,43`."""
    values = {"seed": range(config.seed, config.seed + config.seeds), "fold": range(1, config.folds + 1)}
    if config.fold:
        del values["fold"]
    added = {key: numbers for key, numbers in values.items() if len(numbers) > 1}
    for key in added.keys() & set(swept_keys(arguments)):
        raise SettingError(f"{key}s={config[f'{key}s']} and several values of {key} do not go together: give one")
    return [f"{key}={','.join(map(str, numbers))}" for key, numbers in added.items()]


def register_sweepers() -> None:
    """Register the sweepers with Hydra; the search only if its extra is installed."""
    plugins = Plugins.instance()
    plugins.register(GridSweeper)
    if find_spec("hydra_plugins") and find_spec("hydra_plugins.hydra_optuna_sweeper"):
        from labbook.sweeps.optuna_sweeper import OptunaSearch

        plugins.register(OptunaSearch)

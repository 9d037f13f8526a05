"""Train a run or a sweep from Python. Does not import torch."""

import functools
from collections.abc import Callable
from typing import Any

import hydra
from omegaconf import DictConfig

from labbook.api.calls import called_from_python, override_arguments
from labbook.api.runs import Run
from labbook.api.sweeps import Sweep
from labbook.cli import command_line
from labbook.cli.commands.train import train_run
from labbook.config import own_code
from labbook.installation import CONFIGS
from labbook.runs.run_folder import RunFolder
from labbook.sweeps.checking import check_one_process_per_run
from labbook.sweeps.run_job import NotStarted, RunFailed
from labbook.sweeps.sweep_command import SweepCommand

HERE = "train(...) is one process on one device: use trainer.devices=1, or the command `labbook train`"
Task = Callable[[DictConfig], float]


class ThroughHydra(SystemExit):
    """Carries an error through Hydra, which would print it. As the end of a program, it also ends a sweep."""


def train(*overrides: str, **settings: Any) -> Run:
    """Train and test one run: `train("model=lenet5", "data=mnist", epochs=2)`.

    Args:
        *overrides: words as on the command line, such as "optimizer.lr=0.01".
        **settings: the same as values of Python: epochs=2, callbacks=["default", "ema"], or for a name with dots
            `**{"optimizer.lr": 0.01}`.

    Returns:
        The finished run. `resume=FOLDER` resumes one.

    Raises:
        SettingError: a setting cannot work.
        RunError: the training failed. The log in the run folder has the traceback.
        KeyboardInterrupt: Ctrl-C or the notebook's stop button. The state is saved, and a line says how to resume.
    """
    finished: list[RunFolder] = []

    def task(config: DictConfig) -> float:
        check_one_process_per_run(config.trainer, HERE)
        finished.append(train_run(config))
        return float(finished[-1].metrics["objective"])

    run_in_process(task, override_arguments(overrides, settings))
    return Run(finished[-1].path)


def sweep(*overrides: str, **settings: Any) -> Sweep:
    """Train one run for each combination of settings: `sweep(optimizer=["sgd", "adam"], epochs=2, seeds=3)`.

    Args:
        *overrides: words as on the command line, such as "optimizer=sgd,adam" or "sweep=smoke".
        **settings: the same as values of Python; a list or a tuple has the values to sweep over.

    Returns:
        The sweep with all its runs. The same call again resumes it and trains only what is left.

    Raises:
        SettingError: a setting of any run cannot work; no run was started.
        RunError: a run failed, after the others finished: `Sweep(FOLDER)` has them.
        KeyboardInterrupt: Ctrl-C or the notebook's stop button; the same call resumes.
    """
    arguments = override_arguments(overrides, settings, swept=True)
    run_in_process(one_run, ["--multirun", *arguments])
    assert SweepCommand.last_folder is not None
    return Sweep(SweepCommand.last_folder)


def one_run(config: DictConfig) -> float:
    return float(train_run(config).metrics["objective"])


def run_in_process(task: Task, arguments: list[str]) -> None:
    """Run a task with the arguments of a command line. Errors are raised as they are."""

    def main() -> None:
        whole = hydra.main(
            config_path=str(CONFIGS), config_name="train", execution_whitelist=own_code.allowed_targets()
        )
        try:
            whole(carrying_errors(command_line.checked_task(task)))()
        except ThroughHydra as end:
            raise end.args[0] from None

    with called_from_python(arguments):
        command_line.run_overrides(main, arguments)


def carrying_errors(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """A task whose errors pass Hydra unchanged; a run of a sweep that failed is for the sweep."""

    @functools.wraps(task)
    def carrying(config: DictConfig) -> Any:
        try:
            return task(config)
        except (RunFailed, NotStarted):
            raise
        except Exception as error:
            raise ThroughHydra(error) from error

    return carrying

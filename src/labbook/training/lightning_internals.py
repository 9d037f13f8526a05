"""All private names of Lightning that the package uses; tests/training/test_lightning_internals.py checks them."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, NoReturn

from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.core.module import _jit_is_scripting
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from pytorch_lightning.trainer.connectors.logger_connector.fx_validator import _FxValidator

HOOK_NAME = "_current_fx_name"  # attribute of a LightningModule: the hook that runs


def logs_each_step(model: LightningModule, on_step: bool | None) -> bool | None:
    """Whether `self.log(..., on_step=on_step)` logs each step in the current hook; None outside hooks."""
    hook: str | None = getattr(model, HOOK_NAME)
    return None if hook is None else _FxValidator.get_default_logging_levels(hook, on_step, None)[0]


def set_purge_step(logger: TensorBoardLogger, step: int) -> None:
    """Make TensorBoard drop what it has of this step and later ones, before anything is written."""
    logger._kwargs["purge_step"] = step


def opened_writer(logger: TensorBoardLogger) -> Any:
    """The writer of a logger's events; None before the first write."""
    return logger._experiment


def without_trainer() -> AbstractContextManager[None]:
    """Within this context, a module without a Trainer can be traced: properties that need a Trainer are None."""
    return _jit_is_scripting()


def begin_epoch_anew(trainer: Trainer) -> None:
    """Start the epoch of a user's loaders again from their saved state and the restored random state.

    Between epochs, Lightning does not load that state, and starts the epoch before the random state is restored.
    """
    loop: Any = trainer.fit_loop  # its private attributes have no types
    loop._combined_loader._load_state_dicts(loop._combined_loader_states_to_load)
    iter(loop._data_fetcher)


def disable_signal_handlers(trainer: Trainer) -> None:
    """Keep Lightning from installing signal handlers.

    Its SIGTERM handler would end the program with code 0, save nothing, and wait for other processes.
    """
    vars(trainer._signal_connector)["register_signal_handlers"] = lambda: None


def end_other_processes(trainer: Trainer) -> None:
    """End the processes that Lightning started beside this one, which ends early and has saved its state.

    They could wait for this process forever. Lightning's watcher would kill this process when one of them ends first.
    """
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        others = list(launcher.procs)
        launcher.procs.clear()  # the watcher's list, too
        for process in others:
            process.kill()
            process.wait()


def death_among_others(trainer: Trainer) -> str:
    """How a process that Lightning started ended, if one did; empty otherwise."""
    launcher = trainer.strategy.launcher
    processes = launcher.procs if isinstance(launcher, _SubprocessScriptLauncher) else []
    for process in processes[:1]:  # it may still be ending
        with suppress(subprocess.TimeoutExpired):
            process.wait(2)
    return describe_death(processes)


def describe_death(processes: Sequence["subprocess.Popen[bytes]"]) -> str:
    """How the first failed process ended, numbered from 1; empty if none failed."""
    for number, process in enumerate(processes, 1):
        if code := process.poll():
            how = f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
            return f"process {number} of this run {how}"
    return ""


@contextmanager
def report_deaths(trainer: Trainer, resume_hint: str) -> Iterator[None]:
    """Within this context, Lightning's watcher prints which process died before it ends the others."""

    def end_all(observer: _ChildProcessObserver) -> NoReturn:
        print(f"error: {describe_death(observer._child_processes)}{resume_hint}", file=sys.stderr, flush=True)
        for process in observer._child_processes:
            process.kill()
        os._exit(1)  # the main thread may wait for that process forever

    if not isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        yield
        return
    usual = _ChildProcessObserver._terminate_all
    setattr(_ChildProcessObserver, usual.__name__, end_all)
    try:
        yield
    finally:
        setattr(_ChildProcessObserver, usual.__name__, usual)

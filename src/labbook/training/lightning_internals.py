"""All private names of Lightning that the package uses; tests/training/test_lightning_internals.py checks them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any, NoReturn

import torch
from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning_fabric.utilities.apply_func import move_data_to_device
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.core.module import _jit_is_scripting
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from pytorch_lightning.trainer.connectors.logger_connector.fx_validator import _FxValidator
from torch.utils.data import DataLoader

# Arguments of `self.log`, as Lightning keeps them.
LOG_OPTIONS = ("fx", "name", "prog_bar", "logger", "on_step", "on_epoch", "enable_graph", "add_dataloader_idx",
               "metric_attribute")  # fmt: skip
HOOK_NAME = "_current_fx_name"  # attribute of a LightningModule: the hook that runs


def logs_each_step(model: LightningModule, on_step: bool | None) -> bool | None:
    """Whether `self.log(..., on_step=on_step)` logs each step in the current hook; None outside hooks."""
    hook: str | None = getattr(model, HOOK_NAME)
    return None if hook is None else _FxValidator.get_default_logging_levels(hook, on_step, None)[0]


def opened_writer(logger: TensorBoardLogger) -> Any:
    """The writer of a logger's events; None before the first write."""
    return logger._experiment


def without_trainer() -> AbstractContextManager[None]:
    """Within this context, a module without a Trainer can be traced: properties that need a Trainer are None."""
    return _jit_is_scripting()


def restart_epoch(trainer: Trainer, restore_random_state: Callable[[], None]) -> None:
    """Start the epoch of a user's loaders again from their saved state and the restored random state.

    Between epochs, Lightning does not load that state, and starts the epoch before the random state is restored.
    A DataLoader with a state, such as torchdata's, first iterates over the rest of the epoch before: nothing.
    """
    loop: Any = trainer.fit_loop  # its private attributes have no types
    if states := loop._combined_loader_states_to_load:
        loop._combined_loader._load_state_dicts(states)
        for loader in loop._combined_loader.flattened:
            if isinstance(loader, DataLoader) and hasattr(loader, "load_state_dict"):
                iter(loader)
    restore_random_state()
    iter(loop._data_fetcher)


def logged_in_epoch(trainer: Trainer) -> dict[str, Any]:
    """What the module has logged in the epoch so far, in this process, as a checkpoint can have it."""
    found = {}
    for key, metric in trainer.fit_loop.epoch_loop._results.items():
        if not metric.has_reset:
            meta, state = metric.meta, (metric if metric.is_tensor else metric.value).metric_state
            options = {name: getattr(meta, name) for name in LOG_OPTIONS}
            options |= {"sync_dist": meta.sync.should, "rank_zero_only": meta.sync.rank_zero_only}
            last = trainer.callback_metrics.get(meta.forked_name(on_step=True)) if meta.on_step else None
            found[key] = {"options": options, "reduce_fx": meta.reduce_fx.__name__, "state": state, "last": last}
    return found


def restore_logged(trainer: Trainer, model: LightningModule, logged: Mapping[str, Any]) -> None:
    metrics = trainer.fit_loop.epoch_loop._results
    for key, saved in logged.items():
        options, last = saved["options"], saved["last"]
        own = model.get_submodule(name) if (name := options["metric_attribute"]) else None
        value: Any = own or (torch.tensor(0.0) if last is None else last)
        reduction = {"reduce_fx": getattr(torch, saved["reduce_fx"]), "sync_dist_fn": trainer.strategy.reduce}
        metrics.log(value=value, batch_size=1, **options, **reduction)
        metric: Any = own or metrics[key]
        for name, content in saved["state"].items():
            setattr(metric, name, move_data_to_device(content, model.device))
        metric._update_count = 1
        # The first step that logs it again would reset it.
        vars(metrics[key])["reset"] = partial(vars(metrics[key]).pop, "reset")
        if options["on_step"]:
            trainer.callback_metrics[metrics[key].meta.forked_name(on_step=True)] = last


def forget_restored(trainer: Trainer) -> None:
    """After the epoch, have all that was logged reset as usual."""
    for metric in trainer.fit_loop.epoch_loop._results.values():
        vars(metric).pop("reset", None)


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
    launcher = trainer.strategy.launcher
    if not isinstance(launcher, _SubprocessScriptLauncher):
        yield
        return

    def end_all(_: _ChildProcessObserver) -> NoReturn:
        print(f"error: {describe_death(launcher.procs)}{resume_hint}", file=sys.stderr, flush=True)
        for process in launcher.procs:
            process.kill()
        os._exit(1)  # the main thread may wait for that process forever

    usual = _ChildProcessObserver._terminate_all
    setattr(_ChildProcessObserver, usual.__name__, end_all)
    try:
        yield
    finally:
        setattr(_ChildProcessObserver, usual.__name__, usual)

"""How many threads a run computes with on a CPU."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from omegaconf import DictConfig

from labbook.runs.run_session import RunSession
from labbook.training.hardware import THREADS, DeviceChoice, device_count, usable_cores

log = logging.getLogger("labbook")


def use_threads(run: RunSession, choice: DeviceChoice) -> None:
    """Set the number of threads until the run ends: that of `threads`, of the run's beginning, or of the choice.

    It is recorded, because the last bits of sums depend on it. A number in the environment comes from the user or a
    launcher, and replaces that of the run's beginning.
    """
    earlier = run.folder.metrics.get("threads") if run.folder.state else None
    threads = number_of_threads(run.folder.config, choice, earlier)
    if earlier not in (None, threads) and choice.accelerator == "cpu":
        log.warning(
            "note: %d threads, and %d before: a resumed run has the same bits only with as many", threads, earlier
        )
    run.closing.enter_context(computing_with(threads))
    run.folder.metrics["threads"] = threads


def number_of_threads(config: DictConfig, choice: DeviceChoice, earlier: int | None = None) -> int:
    """The number for each process of a run that began with `earlier`; see `use_threads`."""
    if config.threads is not None:
        return int(config.threads)
    if THREADS in os.environ:
        return torch.get_num_threads()
    if earlier is not None and earlier <= usable_cores():
        return earlier
    processes = device_count(config.trainer.get("devices", "auto"), choice.accelerator)
    return choice.threads or max(torch.get_num_threads() // processes, 1)


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Within this context, torch has so many threads, also in processes that Lightning starts."""
    before, variable = torch.get_num_threads(), os.environ.get(THREADS)
    torch.set_num_threads(threads)
    os.environ[THREADS] = str(threads)  # without it, Lightning sets a number of its own for several processes
    try:
        yield
    finally:
        torch.set_num_threads(before)
        if variable is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = variable

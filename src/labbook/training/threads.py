"""How many threads a run computes with on a CPU."""

import logging
import os

import torch

from labbook.errors import SettingError
from labbook.runs.run_session import RunSession
from labbook.training.hardware import THREADS, DeviceChoice

log = logging.getLogger("labbook")


def use_threads(run: RunSession, choice: DeviceChoice) -> None:
    """Set the number of threads until the run ends: that of `threads`, of the run's beginning, or of the choice.

    It is recorded, because the last bits of sums depend on it. A number in the environment comes from the user or a
    launcher, and replaces that of the run's beginning.

    Raises:
        SettingError: this machine has fewer cores than `threads`.
    """
    before, cores = torch.get_num_threads(), os.cpu_count() or 1
    asked, earlier = run.folder.config.threads, run.folder.metrics.get("threads") if run.folder.state else None
    if asked is not None and asked > cores:
        raise SettingError(f"threads={asked}: this machine has {cores} cores, so use 1 to {cores}, or null")
    if asked is None and THREADS not in os.environ and earlier is not None and earlier <= cores:
        asked = earlier
    threads = asked or choice.threads or before
    if earlier not in (None, threads):
        log.warning(
            "note: %d threads, and %d before: a resumed run has the same bits only with as many", threads, earlier
        )
    run.closing.callback(torch.set_num_threads, before)
    torch.set_num_threads(threads)
    run.folder.metrics["threads"] = threads

"""A note if other programs slow down a training on a CPU."""

import logging
import math
import multiprocessing
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

log = logging.getLogger("labbook")

SECONDS = 2.0  # of training are measured
STAT = Path("/proc/stat")  # Linux
IDLE = (3, 4)  # columns of STAT: idle, and waiting for a disk
GROUP, LIMITS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
QUOTAS = (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))  # files of control groups of version 2 and 1


@dataclass(frozen=True)
class CpuTimes:
    """Seconds: of the clock, of this process on all cores, and of all programs on the cores that it may use."""

    clock: float
    own: float
    everyone: float

    @classmethod
    def now(cls) -> "CpuTimes":
        """Raises OSError where the system does not tell."""
        ticks = 0
        for line in STAT.read_text(encoding="ascii").splitlines():
            name, *columns = line.split()
            if name.removeprefix("cpu").isdecimal() and int(name[3:]) in os.sched_getaffinity(0):
                # the last two, of guest systems, are part of the first two
                ticks += sum(int(column) for index, column in enumerate(columns[:8]) if index not in IDLE)
        return cls(time.monotonic(), time.process_time(), ticks / os.sysconf("SC_CLK_TCK"))

    def others_since(self, start: "CpuTimes") -> float:
        """The cores that other programs kept busy, on average."""
        busy = (self.everyone - start.everyone) - (self.own - start.own)
        return max(busy / (self.clock - start.clock), 0.0)


def cpu_quota() -> float:
    """The cores for whose time a control group has a limit, such as a container's; infinite without a limit."""
    found = [math.inf]
    for line in GROUP.read_text(encoding="utf-8").splitlines():
        _, names, path = line.split(":", 2)
        own = LIMITS / ("cpu" if "cpu" in names.split(",") else "") / path.strip("/")
        for folder in (own, *own.parents):
            for files in QUOTAS:
                with suppress(OSError, ValueError):  # no such group, or "max"
                    text = " ".join((folder / name).read_text(encoding="ascii") for name in files)
                    quota, period = map(int, text.split())
                    if quota > 0:
                        found.append(quota / period)
    return min(found)


class BusyMachine(Callback):
    """Measures once, over the first steps of a fit, how many cores other programs use.

    Nothing is measured if a quota leaves the run less time than its cores have: then the cores are those of a host.
    Processes of the run, such as those of a DataLoader, would count as others, so with them there is no note.

    Threads wait for each other: with one other busy program on two cores, two threads had 0.33 times the speed of one
    for LeNet-5, and 0.64 times for lab C's convnet.
    """

    def __init__(self) -> None:
        self._start: CpuTimes | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if torch.get_num_threads() == 1 or trainer.world_size > 1:  # the other processes of a run are not others
            self._skip()
            return
        with suppress(OSError, AttributeError, ValueError):  # of another system
            if cpu_quota() >= len(os.sched_getaffinity(0)):
                self._start = CpuTimes.now()
        if self._start is None:
            self._skip()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure after some seconds; the later steps do not call this."""
        if self._start is None or time.monotonic() - self._start.clock < SECONDS:
            return
        self._skip()
        threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0))
        others = CpuTimes.now().others_since(self._start)
        if (free := max(round(cores - others), 1)) < threads and not multiprocessing.active_children():
            log.warning(
                "note: other processes keep %.1f of %d cores busy, so the %d threads of this run wait for each other:"
                " threads=%d may be faster (the last bits of the results depend on the number)",
                others, cores, threads, free,
            )  # fmt: skip

    def _skip(self) -> None:
        vars(self)["on_train_batch_end"] = None  # Lightning does not call it any more

"""A note if other programs slow down a training on a CPU."""

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

log = logging.getLogger("labbook")

SECONDS = 2.0  # of training are measured
STAT = Path("/proc/stat")  # Linux
IDLE = (3, 4)  # columns of STAT: idle, and waiting for a disk


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


class BusyMachine(Callback):
    """Measures once, over the first steps of a fit, how many cores other programs use.

    Threads wait for each other: with one other busy program on two cores, two threads had 0.33 times the speed of one
    for LeNet-5, and 0.64 times for lab C's convnet.
    """

    def __init__(self) -> None:
        self._start: CpuTimes | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if torch.get_num_threads() == 1 or trainer.world_size > 1:  # the other processes of a run are not others
            self._skip()
            return
        try:
            self._start = CpuTimes.now()
        except (OSError, AttributeError, ValueError):  # another system
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
        if (free := max(round(cores - others), 1)) < threads:
            log.warning(
                "note: other processes keep %.1f of %d cores busy, so the %d threads of this run wait for each other:"
                " threads=%d may be faster (the last bits of the results depend on the number)",
                others, cores, threads, free,
            )  # fmt: skip

    def _skip(self) -> None:
        vars(self)["on_train_batch_end"] = None  # Lightning does not call it any more

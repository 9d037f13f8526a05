"""Where the time of a step goes, by part: a profile through Lightning's own profiler interface."""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from io import StringIO
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.profilers import PassThroughProfiler

from labbook.callbacks.run_description import describe_run
from labbook.fit import fit_model
from labbook.runs import run_session
from labbook.trainer import build_trainer
from labbook.training import threads
from tools.benchmark.cases import Case, prepared, scratch
from tools.benchmark.contenders import Clock
from tools.benchmark.sections import Section

# Ends of the names that Lightning gives to its actions, and the part of a step that each belongs to.
PARTS = {
    "train_dataloader_next": "data",
    "batch_to_device": "data",
    "on_before_batch_transfer": "data",
    "training_step": "forward",
    "backward": "backward",
    "optimizer_step": "optimizer",
    "optimizer_zero_grad": "optimizer",
}
COLUMNS = ("data", "forward", "backward", "optimizer", "logging", "Lightning")


class ByPart(PassThroughProfiler):
    """Adds up the seconds of each part of a step, of a part within another only once: to the inner one."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Measure an action that belongs to a part."""
        part = part_of(action_name)
        return self._measured(part) if part else nullcontext()

    @contextmanager
    def _measured(self, part: str) -> Iterator[None]:
        self._enter(part)
        try:
            yield
        finally:
            self._leave()

    def start(self, action_name: str) -> None:
        """Begin an action that is not measured by `profile`."""
        if part := part_of(action_name):
            self._enter(part)

    def stop(self, action_name: str) -> None:
        """End such an action."""
        if part_of(action_name):
            self._leave()

    def _enter(self, part: str) -> None:
        self._count()
        self._open.append(part)

    def _leave(self) -> None:
        self._count()
        self._open.pop()

    def _count(self) -> None:
        """Give the time since the last change to the innermost part."""
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


def part_of(action: str) -> str | None:
    """The part of a step that an action of Lightning belongs to."""
    if action.startswith("[Callback]") and "_batch_" in action:
        return "logging"
    return PARTS.get(action.rpartition(".")[2])


class Restart(Clock):
    """A clock that has the profiler forget the first steps too."""

    def __init__(self, profiler: ByPart) -> None:
        self.profiler = profiler

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if batch_idx + 1 == self.uncounted:
            self.profiler.seconds.clear()


def profiled(case: Case, precision: str) -> dict[str, float]:
    """Seconds of a step by part; what no part accounts for is Lightning's own."""
    profiler = ByPart()
    clock = Restart(profiler)
    with scratch() as folder, redirect_stdout(StringIO()):
        config = case.composed("epochs=1", f"log_dir={folder}", f"trainer.precision={precision}", "trainer=cpu")
        choice, data, model = prepared(config)
        with run_session.open_run(config) as run:
            threads.use_threads(run, choice)
            describe_run(run.folder, model, data, choice)
            trainer = build_trainer(config, choice, run, model, data)
            trainer.callbacks.append(clock)  # type: ignore[attr-defined]
            trainer.profiler = profiler  # type: ignore[attr-defined]
            fit_model(trainer, model, data, run, choice.channels_last, config.compile)
    steps = (clock.last - clock.first) / clock.step
    parts = {part: profiler.seconds[part] / steps for part in COLUMNS[:-1]}
    return parts | {"Lightning": clock.step - sum(parts.values())}


def section(cases: Sequence[Case], repetitions: int, precision: str) -> Section:
    """A row for each case: milliseconds of each part of a step, and their share."""
    rows = []
    for case in cases:
        found = [profiled(case, precision) for _ in range(repetitions)]
        median = {part: statistics.median(each[part] for each in found) for part in COLUMNS}
        whole = statistics.median(sum(each.values()) for each in found)
        shares = (f"{1000 * median[part]:.2f} ({median[part] / whole:.0%})" for part in COLUMNS)
        rows.append((case.name, f"{1000 * whole:.2f}", *shares))
    note = (
        f"Milliseconds of a step of Labbook on the CPU, medians of {repetitions}. Data: drawing, cutting and"
        " normalizing the batch. Forward: with loss and metrics. Optimizer: with what Lightning does around its"
        " closure. Logging: all callbacks."
    )
    return Section("Parts of a step", ("case", "step", *COLUMNS), rows, note)

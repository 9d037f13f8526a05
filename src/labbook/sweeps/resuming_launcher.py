"""Launch the unfinished runs of a sweep, with any launcher."""

import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from labbook.config.hydra_internals import failure_of
from labbook.errors import SettingError, TrainingError, first_line
from labbook.files import write_whole
from labbook.runs import locks
from labbook.runs.provenance import code_version, other_code_version
from labbook.runs.run_folder import METRICS, WITH_FIGURES, read_metrics
from labbook.runs.sweep_folder import SweepFolder
from labbook.signals import ended_by_sigterm, restore_interrupts
from labbook.sweeps import checking, launchers, run_job
from labbook.sweeps.job_composer import JobComposer

OURS = (run_job.RunFailed, run_job.NotStarted)
MOST_DEATHS = 2  # of a run's process in one command; then the run has failed
POLL = 1.0  # seconds between two checks of a run that another process does


class SweepJob(NamedTuple):
    """One combination of the swept settings."""

    number: int  # in the whole sweep, from 0
    overrides: list[str]


class ResumingLauncher(Launcher):
    """A launcher around another one, which gets only the runs that are not done.

    It composes all jobs before the first one starts, so that a wrong setting is refused at once. Jobs with the same run
    are launched once.
    """

    def __init__(
        self, inner: Launcher, sweep: SweepFolder, over: list[str], context: HydraContext, config: DictConfig
    ) -> None:
        self.inner, self.sweep, self.over, self.config = inner, sweep, over, config
        self.composer = JobComposer(sweep, over, context, config)
        self.launch_id = f"launch-{uuid.uuid4().hex[:8]}"
        self.total = 0  # jobs of the whole sweep
        self.searching = False  # jobs come a few at a time, and may be pruned
        self.at_once: int | None = None  # jobs that the inner launcher gets together; None: all
        self.names: list[str] = []  # run folders of the last launch, in the order of its jobs
        self.begun = False  # whether the sweep's folder was created or resumed
        self.launched: set[str] = set()  # runs that were not done before
        self.resumed: set[str] = set()  # of those, the ones that were started before
        self.skipped: set[str] = set()  # runs that were done before

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Nothing: the inner launcher was set up before."""

    @property
    def stopped(self) -> bool:
        return run_job.stop_file(self.sweep.path, self.launch_id).exists()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """The return of each job: stored for a finished run, or new."""
        restore_interrupts()
        every = [list(overrides) for overrides in job_overrides]
        known = len(self.composer.index.identities)
        identities = [self.composer.run_id(overrides) for overrides in every]
        if not known and not self.searching:  # otherwise another choice may have had it before
            self.composer.check_left_out()
        self.begin()
        there = self.sweep.by_identity()
        self.names = [
            there.setdefault(identity, f"{self.composer.slug(overrides)}-{identity}")
            for identity, overrides in zip(identities, every, strict=True)
        ]
        self.composer.index.save()
        self.sweep.plan(self.names)
        returns: dict[str, JobReturn] = {}
        todo: dict[str, SweepJob] = {}
        for number, (name, overrides) in enumerate(zip(self.names, every, strict=True), initial_job_idx):
            if name not in returns and name not in todo:
                stored = self._stored(name)
                if stored is None:
                    todo[name] = SweepJob(number, overrides)
                else:
                    returns[name] = stored
        self._announce(todo, returns)
        returns |= self._launch(todo)
        return [returns[name] for name in self.names]

    def begin(self) -> None:
        """Create or resume the sweep's folder; with `sweep.rerun`, move the old one aside."""
        if self.begun:
            return
        if self.config.sweep.rerun and self.sweep.path.exists():
            kept = self.sweep.set_aside(Path(self.config.log_dir))
            print(f"sweep.rerun=true: the old sweep is kept in {kept}")
        checking.check_data(self.sweep)
        self.sweep.begin(self.over, self.config.objective, self.config.objective_mode)
        self.begun = True

    def _launch(self, todo: dict[str, SweepJob]) -> dict[str, JobReturn]:
        """Launch until all runs are done, and wait for those that other processes do."""
        returns: dict[str, JobReturn] = {}
        if todo:
            launchers.prepare_launcher(self.inner)
        with ended_by_sigterm() if launchers.runs_elsewhere(self.inner) else nullcontext():
            while todo:
                jobs, size = list(todo.items()), self.at_once or len(todo)
                for batch in (jobs[start : start + size] for start in range(0, len(jobs), size)):
                    overrides = [self._job_overrides(name, *job) for name, job in batch]
                    names = [name for name, _ in batch]
                    results = self._launched(names, overrides, first=batch[0][1].number)
                    returns |= zip(names, results, strict=True)
                todo = {name: job for name, job in todo.items() if is_held(returns[name])}
                if self.stopped:
                    break
                self._wait(list(todo))
        return returns

    def _launched(self, names: list[str], overrides: list[list[str]], first: int) -> Sequence[JobReturn]:
        """The returns of the inner launcher for some jobs; failed runs are among them.

        Raises:
            TrainingError: a process died, but not of one of these runs.
        """
        try:
            results = self.inner.launch(overrides, initial_job_idx=first)
        except Exception as error:
            if launchers.runs_elsewhere(self.inner) and type(error) in (TypeError, ValueError):  # not of a run
                raise SettingError(f"hydra.launcher: {first_line(error)}") from error
            if type(error).__name__ not in launchers.DEATHS:
                raise
            victims = [name for name in names if self.sweep.state(name)[0] == "interrupted"]
            if not victims:
                raise TrainingError(
                    f"processes did not start or died ({first_line(error)}): use the same command to resume"
                ) from error
            for name in victims:
                self._note_death(name)
            return [self._after_death(name) for name in names]
        for result in results:
            if result.status is JobStatus.FAILED and not isinstance(failure_of(result), OURS):
                _ = result.return_value  # raises unexpected errors
        return results

    def _note_death(self, name: str) -> None:
        """Count the deaths of a run's process; after several, the run has failed, and the others continue."""
        metrics = read_metrics(self.sweep.path / name)
        metrics["deaths"] = metrics.get("deaths", 0) + 1
        if metrics["deaths"] >= MOST_DEATHS:
            metrics |= {"status": "failed", "reason": f"its process died {metrics['deaths']} times", "deaths": 0}
            print(f"failed: {name}: {metrics['reason']}", file=sys.stderr, flush=True)
        else:
            print(f"the process of {name} or of a parallel run died: it is resumed", flush=True)
        write_whole(self.sweep.path / name / METRICS, json.dumps(metrics, indent=2))

    def _after_death(self, name: str) -> JobReturn:
        """The return of a run whose process died: done, failed, or to be launched again."""
        state, metrics = self.sweep.state(name)
        return job_return(metrics, done=state in WITH_FIGURES, failed=state == "failed")

    def _job_overrides(self, name: str, number: int, overrides: list[str]) -> list[str]:
        return [
            *self.composer.fitting(overrides),
            f"sweep.name='{self.sweep.path.name}'",
            f"sweep.job.folder='{name}'",
            f"sweep.job.launch='{self.launch_id}'",
            f"sweep.job.label='{number + 1}/{self.total}'",
            f"sweep.job.parallel={launchers.runs_elsewhere(self.inner)}",
        ]

    def _stored(self, name: str) -> JobReturn | None:
        """The return of a run that need not be done again."""
        state, metrics = self.sweep.state(name)
        if state == "finished" or (state == "pruned" and self.searching and self.config.sweep.prune):
            if name not in self.launched:
                self.skipped.add(name)
            return job_return(metrics)
        if state == "failed" and not self.config.sweep.retry_failed:
            return job_return(metrics, failed=True)
        self.launched.add(name)
        if state in ("failed", "interrupted", "pruned"):
            self.resumed.add(name)
        return None

    def _announce(self, todo: dict[str, SweepJob], returns: dict[str, JobReturn]) -> None:
        for item, choice in sorted(self.composer.left_out):
            print(f"left out for options without this setting: {item} ({choice})")
        if same := sorted({name for name in self.names if self.names.count(name) > 1}):
            print(f"duplicate settings, run once: {', '.join(same)}")
        failed = sum(result.status is JobStatus.FAILED for result in returns.values())
        counts = {
            "finished already": len(returns) - failed,
            "failed before and not retried (sweep.retry_failed=false)": failed,
            "begun before": sum(name in self.resumed for name in todo),
        }
        if not self.searching and any(counts.values()):
            said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            print(f"of {len(todo) + len(returns)} runs: {said}{self._by_other_code(returns)}", flush=True)
        elif by_other_code := self._by_other_code(returns):
            print(f"of {len(returns)} runs finished before{by_other_code}", flush=True)

    def _by_other_code(self, names: Iterable[str]) -> str:
        versions = [other_code_version(read_metrics(self.sweep.path / name)) for name in names]
        counts = Counter(version for version in versions if version)
        if not counts:
            return ""
        made = ", ".join(f"{version} ({count})" for version, count in counts.items())
        return (
            f"; {counts.total()} of them by other code, {made}, where this is {code_version()}: to repeat a run,"
            " delete its folder, or use sweep.rerun=true for all"
        )

    def _wait(self, names: list[str]) -> None:
        """Wait until one of the runs that other processes hold is free."""
        who = {name: locks.lock_owner(self.sweep.path, name) for name in names}
        for name, holder in who.items():
            if holder:
                print(f"waiting for {name}, done by {holder}", flush=True)
        while names and all(locks.lock_owner(self.sweep.path, name) for name in names):
            time.sleep(POLL)


def job_return(metrics: Mapping[str, Any], done: bool = True, failed: bool = False) -> JobReturn:
    """What Hydra's launcher returns for a run: its objective, or None if it is not done, or its failure."""
    result = JobReturn(status=JobStatus.FAILED if failed else JobStatus.COMPLETED)
    objective = float(metrics["objective"]) if done and not failed else None
    result.return_value = run_job.RunFailed(metrics.get("reason", "")) if failed else objective
    return result


def is_held(result: JobReturn) -> bool:
    """Whether another process had the run of a job."""
    return result.status is JobStatus.COMPLETED and result.return_value is None

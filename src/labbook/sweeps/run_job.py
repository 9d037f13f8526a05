"""One run of a sweep, in any process of a launcher. Does not import torch."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from labbook import console
from labbook.config.failures import failure_reason
from labbook.config.path_rules import check_symlinks
from labbook.errors import SettingError, StoppedBySignal, is_unwritable, printable
from labbook.runs import locks
from labbook.runs.log_files import print_line
from labbook.runs.run_folder import LOG, METRICS, RunFolder, newest_intact_state, read_metrics
from labbook.runs.run_id import run_id
from labbook.runs.run_session import RunSession
from labbook.runs.sweep_folder import SweepFolder
from labbook.sweeps.checking import check_one_process_per_run, depends_on_surroundings


class RunFailed(Exception):  # noqa: N818 - it is the run that failed
    """A run of a sweep failed, and its folder says why; the others continue."""


class NotStarted(Exception):  # noqa: N818 - nothing went wrong here
    """The sweep was stopped before this run started."""


def stop_file(sweep: Path, launch: str) -> Path:
    """The file that stops the runs of one command from starting."""
    return sweep / locks.CLAIMS / f"{launch}.stop"


def run_job(task: Callable[[DictConfig], Any], config: DictConfig) -> float | None:
    """Do or resume a run that is not done. Returns its objective; None if another process does it.

    Raises:
        RunFailed: it failed, as often as `sweep.max_failures` allows another try.
        NotStarted: the sweep was stopped.
    """
    console.repair_streams()  # needed in a launcher's process
    sweep = SweepFolder(Path(HydraConfig.get().sweep.dir))
    job, name = config.sweep.job, str(config.sweep.job.folder)
    with locks.run_lock(sweep.path, name) as mine:
        if not mine:
            return None
        if stop_file(sweep.path, job.launch).exists():
            raise NotStarted(name)
        check_symlinks(sweep.path, [sweep.path / name])
        check_symlinks(sweep.path / name)
        state, metrics = sweep.state(name)
        done = ("finished", "pruned") if job.trial is not None and config.sweep.prune else ("finished",)
        if state in done:  # another process has finished it
            return float(metrics["objective"])
        if state == "failed" and not config.sweep.retry_failed:
            raise RunFailed(metrics.get("reason", ""))
        if name.rpartition("-")[2] != run_id(config) and not depends_on_surroundings(config):
            print_job_line(job, f"note: a settings file was edited since the sweep started; {name} uses the new one")
        print_job_line(job, f"{'' if job.parallel else f'run {job.label}: '}{name}{begun_note(state, metrics)}")
        wrong = f"its {METRICS} is" if state == "damaged" else ""
        try:
            newest_intact_state(sweep.path / name)
        except SettingError:
            wrong = wrong or "its checkpoints are"
        if wrong:
            kept = sweep.set_run_aside(name, Path(config.log_dir))
            print_job_line(job, f"{wrong} damaged, so it runs again; the old folder is kept as {kept}")
        return attempt_run(task, config, sweep.path / name)


def attempt_run(task: Callable[[DictConfig], Any], config: DictConfig, folder: Path) -> float:
    most = config.sweep.max_failures
    for attempt in range(most + 1):
        try:
            check_one_process_per_run(config.trainer)  # of this machine, which may not have started the sweep
            return float(task(config))
        except Exception as error:
            # The other runs would find no room on the disk either.
            if isinstance(error, StoppedBySignal) or (isinstance(error, OSError) and is_unwritable(error)):
                raise
            reason = record_failure(error, folder, config)
        print_job_line(config.sweep.job, f"failed: {reason} (traceback: {folder / LOG})", error=True)
        if attempt < most:
            print_job_line(config.sweep.job, f"trying again ({attempt + 1} of {most})")
    if config.sweep.on_error == "stop":
        stop_file(folder.parent, config.sweep.job.launch).touch()
    raise RunFailed(reason)


def record_failure(error: Exception, folder: Path, config: DictConfig) -> str:
    """Record in the run's folder why it failed, also if it failed before it had one."""
    reason = failure_reason(error)
    metrics = read_metrics(folder)
    if (metrics.get("status"), metrics.get("reason")) != ("failed", reason):
        if folder.is_file():
            return f"{folder} is a file where the run folder must be"
        folder.mkdir(exist_ok=True)
        with suppress(type(error)), RunSession(RunFolder(folder, config)):
            raise error
    return reason


def begun_note(state: str, metrics: dict[str, Any]) -> str:
    if state == "failed":
        return f" (failed before: {metrics.get('reason', 'for an unknown reason')})"
    return " (was interrupted)" if state in ("interrupted", "running") else ""


def print_job_line(job: DictConfig, text: str, error: bool = False) -> None:
    print_line(printable(f"[{job.label}] {text}" if job.parallel else text), error)

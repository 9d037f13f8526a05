"""A run at work: its lock, log and signals, and the status that it leaves. Imports no torch."""

import logging
import os
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from labbook.config.failures import explain_failure, failure_reason, is_sentence
from labbook.errors import SettingError, StoppedBySignal, TrainingError, is_unwritable
from labbook.files import folder_lock
from labbook.lazy_imports import process_number
from labbook.runs.log_files import RunLog
from labbook.runs.run_folder import LOG, RunFolder, make_run_folder, new_run_path, saved_states
from labbook.signals import StopSignals

log = logging.getLogger("labbook")

# Tells the other processes of a distributed run the folder that the first process made.
FOLDER_VARIABLE = "LABBOOK_RUN_FOLDER"


class RunSession:
    """Used as a context: holds the lock of a run folder, logs to it, and records how the run ended.

    Attributes:
        folder: the run folder.
        signals: Ctrl-C and the other signals that stop a run.
        closing: what else is closed when the run ends, for any reason.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.signals, self.closing = folder, StopSignals(), ExitStack()
        job = folder.config.sweep.job
        self._log = RunLog(folder.path / LOG if folder.leads else None, f"[{job.label}] " if job.parallel else "")
        self._held = ExitStack()  # the lock and the log

    def __enter__(self) -> "RunSession":
        try:
            with ExitStack() as held:
                if self.folder.leads:
                    held.enter_context(folder_lock(self.folder.path))
                damaged = self.folder.read()
                held.enter_context(self._log)
                for what in damaged:
                    log.warning("%s: resuming from %s", what, self.folder.state)
                self.folder.start()
                self._held = held.pop_all()
        except OSError:  # it cannot be written
            if not (self.folder.existed or self.folder.part_of_sweep):
                self.folder.undo()
            raise
        self.signals.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.signals.__exit__(kind, error, tb)
        folder, original, unclosed = self.folder, error, None
        try:
            self.closing.__exit__(kind, error, tb)
        except Exception as failed:
            unclosed = failed
        error = self._explained(error) or error
        try:
            if ended := error or unclosed:
                self._record_early_end(ended)
            if isinstance(error, SettingError) and not (folder.has_new_states() or folder.part_of_sweep):
                folder.undo()
            elif folder.path.is_dir():
                log.info("run: %s", folder.path)
        finally:
            os.environ.pop(FOLDER_VARIABLE, None)
            self._held.close()
        if isinstance(error, FileNotFoundError) and not folder.path.is_dir():
            raise TrainingError(f"{folder.path} was deleted or moved while the run was writing to it") from error
        if unclosed and error is None:
            raise unclosed
        if error is not None and error is not original:
            raise error

    def _explained(self, error: BaseException | None) -> Exception | None:
        """The error to raise instead of one that is not yet a sentence for the user."""
        if not isinstance(error, Exception) or is_sentence(error) or not self.folder.path.is_dir():
            return None
        hint = self.folder.resume_hint() if self.folder.saved else ""
        return explain_failure(error, self.folder.config, self.folder.has_new_states(), hint)

    def _record_early_end(self, error: BaseException) -> None:
        """Record how the run ended. A full disk counts as an interruption."""
        stopped = isinstance(error, (StoppedBySignal, KeyboardInterrupt))
        full = isinstance(error, OSError) and is_unwritable(error)
        reason = {} if stopped else {"reason": failure_reason(error)}
        with suppress(OSError):  # the first error counts
            self.folder.record(reason, "interrupted" if stopped or full else "failed")
        if not stopped:
            self._log.traceback(error)
        if stopped or (full and self.folder.saved):
            log.info("interrupted%s", self.folder.resume_hint())


def resumed_folder(config: DictConfig) -> Path | None:
    """The folder of a run that will be resumed from a checkpoint; None for a run that starts from the beginning."""
    path = planned_folder(config)
    return path if path is not None and saved_states(path) else None


def planned_folder(config: DictConfig) -> Path | None:
    """The folder of a run, which need not exist; None for a new run, which chooses its own."""
    shared = os.environ.get(FOLDER_VARIABLE)
    if shared and (run_rank() > 0 or "TORCHELASTIC_RUN_ID" in os.environ):
        return Path(shared)
    if config.sweep.job.folder:
        return Path(HydraConfig.get().sweep.dir) / str(config.sweep.job.folder)
    return Path(config.resume) if config.resume else None


def run_rank() -> int:
    return process_number("RANK", process_number("LOCAL_RANK"))


def open_run(config: DictConfig) -> RunSession:
    """Open the folder of the run that `config.resume` names, or of a new run.

    `trainer=ddp` tells its processes the folder in `FOLDER_VARIABLE`; a user of torchrun sets that variable.
    """
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    if tasks != "1" and "TORCHELASTIC_RUN_ID" not in os.environ and not config.sweep.job.folder:
        raise SettingError(
            f"srun started this run {tasks} times: use srun --ntasks=1; trainer=ddp starts its own processes"
        )
    shared = os.environ.get(FOLDER_VARIABLE)
    if "TORCHELASTIC_RUN_ID" in os.environ and not shared:
        raise SettingError(
            f"processes started by torchrun share a run folder: set {FOLDER_VARIABLE}=FOLDER for all of them"
        )
    if shared and run_rank() > 0:
        return RunSession(RunFolder(Path(shared), config, leads=False))
    path = planned_folder(config) or make_run_folder(*new_run_path(config))
    path.mkdir(parents=True, exist_ok=True)
    os.environ[FOLDER_VARIABLE] = str(path.absolute())
    return RunSession(RunFolder(path, config))

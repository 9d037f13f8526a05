"""What a run folder holds, how it is named, and how it is found again. Imports no torch."""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from labbook.config import published
from labbook.config.failures import explain_failure, failure_reason, is_sentence
from labbook.config.invocation import program_name
from labbook.config.path_rules import quote_override, short_file_name
from labbook.data.data_record import KEY, DataRecord
from labbook.errors import SettingError, StoppedBySignal, TrainingError, is_unwritable
from labbook.files import find_corruption, finite_or_null, folder_lock, remove_partial, write_whole
from labbook.lazy_imports import process_number
from labbook.runs.log_files import RunLog
from labbook.runs.provenance import code_version, other_code_version, typed_command
from labbook.signals import StopSignals

log = logging.getLogger("labbook")

Status = Literal["running", "finished", "pruned", "interrupted", "failed"]

CONFIG, METRICS, TABLE, LOG = "config.yaml", "metrics.json", "metrics.csv", "train.log"
OF_THE_END = ("reason", "stopped_early")  # what metrics.json says of how the training ended
PREDICTIONS = "test_predictions.csv"
MOST = 6  # metrics of a test that are said
CHECKPOINTS = "checkpoints"  # a folder with these in it:
LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
# Tells the other processes of a distributed run the folder that the first one made.
FOLDER_VARIABLE = "LABBOOK_RUN_FOLDER"


class RunFolder:
    """A run folder that is being filled. Used as a context, it logs to the folder and keeps the status true."""

    def __init__(self, path: Path, config: DictConfig, leads: bool = True) -> None:
        self.path, self.config, self.leads = path, config, leads
        self.signals = StopSignals()
        self.metrics: dict[str, Any] = {}
        self.pruned = False  # ended early by a search, as it was hopeless
        self.closing = ExitStack()  # what else is to be closed when the run ends, however it ends
        self.state: Path | None = None  # the checkpoint to go on from
        job = config.sweep.job
        self._log = RunLog(path / LOG if leads else None, f"[{job.label}] " if job.parallel else "")
        self._found: list[int] = []  # when the states that were there before were written
        self._held = ExitStack()  # the log and the lock, while the run is at work
        self._before = {name: (path / name).read_bytes() for name in (CONFIG, METRICS) if (path / name).is_file()}

    @property
    def resumes(self) -> bool:
        """Whether the folder is that of a run that was there before."""
        return self.leads and bool(self._before)

    @property
    def part_of_sweep(self) -> bool:
        """Whether the run is one of a sweep, whose table tells how it ended."""
        return self.config.sweep.job.folder is not None

    @property
    def saved(self) -> list[Path]:
        """The states of this run that are there, the newest first."""
        return saved_states(self.path)

    def _stamps(self) -> list[int]:
        return [file.stat().st_mtime_ns for file in self.saved]

    def record(self, metrics: Mapping[str, Any], status: Status) -> None:
        """Write metrics.json anew: what was recorded before, the new figures and the status."""
        self.metrics |= metrics
        if self.leads:
            content = self.metrics | {"status": status, "seed": self.config.seed, "code_version": code_version()}
            if self.part_of_sweep:
                content["launch"] = self.config.sweep.job.launch
            lines = (f"  {json.dumps(name)}: {json.dumps(finite_or_null(value))}" for name, value in content.items())
            write_whole(self.path / METRICS, "{\n" + ",\n".join(lines) + "\n}\n")

    def record_data(self, now: DataRecord, root: str) -> None:
        """Keep what the run is trained on, and where it was, or hold it against what was kept."""
        if self.state is not None and (changes := DataRecord.read(self.metrics).changes(now)):
            raise SettingError(
                f"the data is not what {self.path} was trained on: {'; '.join(changes)}; a run resumes only with the"
                " same images and"
                " classes, so restore them, set their folder with data.root=FOLDER, or start a new run"
            )
        self.record({KEY: now.as_data() | {"root": root}}, "running")

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Record the final figures and say the result."""
        self.record(metrics, "pruned" if self.pruned else "finished")
        (self.path / CHECKPOINTS / PREVIOUS).unlink(missing_ok=True)
        origin = f"weights of epoch {metrics['tested_epoch']}, {metrics['train_seconds']:.1f} s of training"
        log.info("%s  (%s)", summarize_test(metrics), origin)
        plain = cast(dict[str, Any], OmegaConf.to_container(self.config, resolve=True))
        for line in published.compare_with_published(plain, metrics):
            log.info("%s", line)

    def __enter__(self) -> "RunFolder":
        with ExitStack() as held:
            held.push(self._unbegun)
            if self.leads:
                held.enter_context(folder_lock(self.path))
            self.state, damaged = newest_intact_state(self.path)
            self._found = self._stamps()
            self.metrics = {key: value for key, value in read_metrics(self.path).items() if key not in OF_THE_END}
            held.enter_context(self._log)
            for what in damaged:
                log.warning("%s: resuming from %s", what, self.state)
            self._begin()
            self._held = held.pop_all()
        self.signals.__enter__()
        return self

    def _unbegun(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """A new run that finds no room to begin leaves no folder behind."""
        if isinstance(error, OSError) and not (self._before or self.part_of_sweep):
            self._undo()

    def _begin(self) -> None:
        """Write that the run goes on, and with which settings."""
        for folder in (self.path, self.path / CHECKPOINTS) if self.leads else ():
            remove_partial(folder)
        # The status comes first: a finished run that is to be trained for longer is not finished any more.
        self.record(self._resumed() if self.resumes else {}, "running")
        if self.leads:
            lasting = {key: value for key, value in self.config.items() if key not in ("sweep", "seeds")}
            config = OmegaConf.to_yaml(lasting, resolve=True)
            write_whole(self.path / CONFIG, f"# {typed_command()}\n{config}", durable=True)

    def _resumed(self) -> dict[str, Any]:
        """What metrics.json says of a run that is resumed: how often, and which other code trained it before."""
        told: dict[str, Any] = {"resumed": self.metrics.get("resumed", 0) + 1}
        if self.saved and (version := other_code_version(self.metrics)):
            log.warning("started by other code, %s; this is %s", version, code_version())
            told["earlier_code"] = list(dict.fromkeys([*self.metrics.get("earlier_code", []), version]))
        return told

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.signals.__exit__(kind, error, tb)
        unclosed = self._close(kind, error, tb)
        original = error
        error = self._explained(error) or error
        try:
            if ended := error or unclosed:
                self._end_early(ended)
            nothing_new = not self.saved or self._before
            if isinstance(error, SettingError) and nothing_new and not self.part_of_sweep:
                self._undo()
            elif self.path.is_dir():
                log.info("run: %s", self.path)
        finally:
            os.environ.pop(FOLDER_VARIABLE, None)
            self._held.close()
        if isinstance(error, FileNotFoundError) and not self.path.is_dir():
            raise TrainingError(f"{self.path} was deleted or moved while the run was writing to it") from error
        if unclosed and error is None:
            raise unclosed
        if error is not None and error is not original:
            raise error

    def _close(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> Exception | None:
        """Close what else is open; the error where that fails."""
        try:
            self.closing.__exit__(kind, error, tb)
        except Exception as unclosed:
            return unclosed
        return None

    def _explained(self, error: BaseException | None) -> Exception | None:
        """The error to raise instead of one that is no sentence yet; None where it stays."""
        if not isinstance(error, Exception) or is_sentence(error) or not self.path.is_dir():
            return None
        return explain_failure(
            error, self.config, self._stamps() != self._found, self.how_to_go_on() if self.saved else ""
        )

    def _end_early(self, error: BaseException) -> None:
        """Record how the run was ended. Where there is no room left to write, it was interrupted."""
        if isinstance(error, (StoppedBySignal, KeyboardInterrupt)):
            with suppress(OSError):
                self.record({}, "interrupted")
            log.info("interrupted%s", self.how_to_go_on())
        else:
            full = isinstance(error, OSError) and is_unwritable(error)
            with suppress(OSError):  # it is the first error that counts
                self.record({"reason": failure_reason(error)}, "interrupted" if full else "failed")
            self._log.traceback(error)
            if full and self.saved:
                log.info("interrupted%s", self.how_to_go_on())

    def how_to_go_on(self) -> str:
        """What to add to a sentence about a run that ended early; the runs of a sweep go on with its command."""
        return "" if self.part_of_sweep else f"; to resume: {program_name()} {quote_override('resume', self.path)}"

    def _undo(self) -> None:
        """A refused setting leaves no folder behind, and the folder of a run that was to go on as it was."""
        if not self.leads:
            return
        for name, content in self._before.items():
            write_whole(self.path / name, content)
        if not self._before:
            shutil.rmtree(self.path, ignore_errors=True)


def open_run(config: DictConfig) -> RunFolder:
    """The folder of a new run, made, or of the run that `config.resume` names.

    Processes that `trainer=ddp` starts are told the folder; those that torchrun starts must be told it by whoever
    runs that.
    """
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    if tasks != "1" and "TORCHELASTIC_RUN_ID" not in os.environ and not config.sweep.job.folder:
        raise SettingError(
            f"srun started this run {tasks} times: use srun --ntasks=1; trainer=ddp starts its own processes"
        )
    rank = process_number("RANK", process_number("LOCAL_RANK"))
    told = os.environ.get(FOLDER_VARIABLE)
    if "TORCHELASTIC_RUN_ID" in os.environ and not told:
        raise SettingError(
            f"processes started by torchrun share a run folder: set {FOLDER_VARIABLE}=FOLDER for all of them"
        )
    if rank > 0 and told:
        return RunFolder(Path(told), config, leads=False)
    if told and "TORCHELASTIC_RUN_ID" in os.environ:
        Path(told).mkdir(parents=True, exist_ok=True)
        return RunFolder(Path(told), config)
    if config.sweep.job.folder:
        path = Path(HydraConfig.get().sweep.dir) / config.sweep.job.folder
        path.mkdir(parents=True, exist_ok=True)
    elif config.resume:
        path = Path(config.resume)
    else:
        parent, name = new_run_path(config)
        path = make_run_folder(parent, name)
    os.environ[FOLDER_VARIABLE] = str(path.absolute())
    return RunFolder(path, config)


def summarize_test(metrics: Mapping[str, Any]) -> str:
    """The first metrics of a run's test in words; of one that is not tested, that it is not."""
    if "test/loss" in metrics and "test/acc" in metrics:
        return f"test loss {metrics['test/loss']:.4f} acc {metrics['test/acc']:.4f}"
    tested = [f"{name} {metrics[name]:.4g}" for name in metrics.get("test_metrics", [])[:MOST]]
    return "  ".join(tested) or f"not tested; {metrics['objective_name']} {metrics['objective']:.4g}"


def new_run_path(config: DictConfig) -> tuple[Path, str]:
    """The parent folder and the name of a single run: date and choices."""
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    chosen = {group: str(config.config_groups[group]) for group in ("model", "data") if group in config.config_groups}
    if variant := OmegaConf.select(config, "model.name"):  # as of model=resnet18 model.name=resnet34
        chosen["model"] = str(variant)
    return Path(config.log_dir) / "runs", "_".join([now, *map(short_file_name, chosen.values())])


def make_run_folder(parent: Path, name: str) -> Path:
    """A folder that no other run has, even one that starts in the same second."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = parent / (name if number == 1 else f"{name}_{number}")
            try:
                path.mkdir()
                return path
            except FileExistsError:
                number += 1
    except OSError as error:
        raise SettingError(
            f"cannot make a run folder in {parent} ({error.strerror}): use another folder with log_dir=FOLDER"
        ) from error


def saved_states(path: Path) -> list[Path]:
    """The states of a run that are there to go on from, the newest first, whole or not."""
    return [file for name in (LAST, PREVIOUS) if (file := path / CHECKPOINTS / name).is_file()]


def newest_intact_state(path: Path) -> tuple[Path | None, list[str]]:
    """The newest whole state of a run, if there is any at all, and what is wrong with those that are newer."""
    damaged: list[str] = []
    for file in saved_states(path):
        if (wrong := find_corruption(file)) is None:
            return file, damaged
        damaged.append(f"{file} is damaged ({wrong})")
    if damaged:
        raise SettingError(
            f"{' and '.join(damaged)}, and there is no other checkpoint: to start from the beginning, delete"
            f" {path / CHECKPOINTS}"
        )
    return None, []


def read_metrics(path: Path) -> dict[str, Any]:
    """What metrics.json of a run holds; nothing where there is none or it is damaged."""
    try:
        content = json.loads((path / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}

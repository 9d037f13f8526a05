"""The program up to the moment at which it would train, within this process."""

import contextlib
import io
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import hydra
from omegaconf import DictConfig

from labbook import experiment
from labbook.callbacks.run_description import describe_run
from labbook.cli import command_line
from labbook.errors import SettingError
from labbook.installation import CONFIGS
from labbook.runs import run_session
from labbook.trainer import build_trainer
from labbook.training import capabilities, hardware
from tools.stress.fuzz_overrides import AT_HAND
from tools.stress.processes import Ended

BEGINS = "everything is as it should be: training would begin"
ROOM = 2**30  # bytes of memory that a command may take beyond what is there
PATIENCE = 20.0  # seconds that a command may take


class TooLong(BaseException):
    """A command was still at work when its time was over; no `except Exception` may stop it."""


@hydra.main(config_path=str(CONFIGS), config_name="train", execution_whitelist=command_line.allowed_targets())
@command_line.run_task
def main(config: DictConfig) -> None:
    """What `train.py` does, until it would train: then a refusal, which leaves no folder behind."""
    experiment.check_experiment(config)
    if str(config.data._target_).rpartition(".")[0].rpartition(".")[2] not in AT_HAND:
        raise SettingError(BEGINS)  # with images that would have to be downloaded first
    data = experiment.build_new_data(config)
    model = experiment.build_model(config, capabilities.spec_of_data(data))
    choice = hardware.choose_for_run(config, model)
    experiment.set_up_data(data)
    with run_session.open_run(config) as run:
        describe_run(run.folder, model, data, choice)
        build_trainer(config, choice, run, model, data)
        raise SettingError(BEGINS)


def command(*arguments: str) -> Ended:
    """`python train.py ARGUMENTS` until it would train; where it ends in a traceback, that is in `err`."""
    out, err = io.StringIO(), io.StringIO()
    with settled(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), bounded():
        sys.argv = ["train.py", *arguments]
        try:
            command_line.run_command_line(main)
        except SystemExit as ended:
            code = int(ended.code or 0)
        except TooLong:
            code = -signal.SIGALRM
        except BaseException:
            traceback.print_exc(file=err)
            code = 1
    return Ended(code, out.getvalue(), err.getvalue())


@contextmanager
def settled() -> Iterator[None]:
    """Puts back what a program changes of its process: arguments, environment."""
    given, environment, place = sys.argv, dict(os.environ), Path.cwd()
    os.environ.pop(run_session.FOLDER_VARIABLE, None)
    os.environ["HYDRA_FULL_ERROR"] = "0"
    try:
        yield
    finally:
        sys.argv = given
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(place)


@contextmanager
def bounded() -> Iterator[None]:
    """Within this, memory ends soon and so does time, as huge numbers are asked for."""

    def late(_: int, __: FrameType | None) -> None:
        raise TooLong

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, late)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (in_use() + ROOM, hard))
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def in_use() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()

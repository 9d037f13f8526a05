"""The command line: help, and one sentence for each error. Imports no torch."""

import errno
import functools
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from labbook.cli import show_settings
from labbook.config import argument_checks, compose, hydra_errors, job_config, known_settings, own_code, search_path
from labbook.config import schema as settings
from labbook.config.arguments import choice_files, normalize_overrides
from labbook.config.invocation import for_caller, program_name
from labbook.config.path_rules import join_words, quote_override
from labbook.errors import RunError, SettingError, StoppedBySignal, is_unwritable, printable
from labbook.runs import locks
from labbook.runs.resume import add_run_choices, read_run_config, resumed_config
from labbook.runs.run_id import note_own_files, run_id
from labbook.runs.sweep_folder import read_manifest
from labbook.signals import forward_to_submitit
from labbook.sweeps import best_experiment, grid_sweeper, run_job

HELP = """\
Train an image classifier: python train.py [GROUP=OPTION ...] [SETTING=VALUE ...]
Groups and their options (* is the default):
{groups}
Most used settings (all: python train.py --cfg job):
  seed=42  epochs=30  optimizer.lr=0.001  data.batch_size=64  data.shuffle=true  data.root=data
  model.SETTING (list: --cfg job -p model)  trainer.precision=32  data.limit=1000
Each setting has a comment in {folder}/train.yaml or {folder}/GROUP/OPTION.yaml.

Examples:
  python train.py                                         LeNet-5 on digits
  python train.py model=alexnet data=cifar10 epochs=10    another network, another data set
  python train.py experiment=b1_lenet5_mnist              a complete run by name, from a lab report
  python train.py -m model=mlp model.depth=2,3,4,5        a sweep: one run per value; repeat it to resume
  python train.py -m sweep=smoke seeds=3                  a sweep by name, each combination with three seeds
  python train.py resume=logs/runs/NAME epochs=40         resume a run, or train it longer: 40 in total

Sweeps (-m): all combinations of values with commas between them (docs/sweeps.md). Settings: sweep.name=NAME
  sweep.rerun=true  sweep.on_error=stop  hydra/launcher=joblib  hydra/sweeper=optuna
  To write the report again: python scripts/report.py logs/sweeps/NAME

Also: --cfg job (print the configuration), --info defaults, --hydra-help. For completion with TAB: make completion.
"""


def config_description(path: Path) -> str:
    """The first comment of a configuration file that is not an instruction to Hydra."""
    lines = (line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    return next((line for line in lines if not line.startswith("@")), "")


def default_options(main: Path) -> dict[str, str]:
    return dict(re.findall(r"^  - (\w+): (\w+)", main.read_text(encoding="utf-8"), re.MULTILINE))


def help_text(*configs: Path) -> str:
    """The text of `--help`, from the files of `configs` and their first comments."""
    configs = configs or tuple(search_path.config_folders())
    main = next(file for folder in configs if (file := folder / "train.yaml").is_file())
    defaults = default_options(main)
    lines = []
    for group in settings.GROUPS:
        lines.append(f"  {group}=")
        for path in choice_files(group, *configs):
            mark = "*" if defaults.get(group) == path.stem else " "
            lines.append(f"   {mark} {path.stem:<18} {config_description(path)}")
    folder = main.parent.name if main.parent.parent == Path.cwd() else main.parent
    return for_caller(HELP.format(groups="\n".join(lines) + "\n", folder=folder))


def exit_error(text: str, code: int) -> NoReturn:
    print(f"error: {printable(for_caller(' '.join(text.split())))}", file=sys.stderr)
    sys.exit(code)


@contextmanager
def exit_with_message() -> Iterator[None]:
    """Within this context, an expected error or a signal ends the program with a sentence and an exit code."""
    try:
        yield
    except SettingError as error:
        exit_error(str(error), 2)
    except hydra_errors.OF_HYDRA as error:
        exit_error(hydra_errors.explain_error(error, sys.argv[1:]) or str(error), 2)
    except RunError as error:
        exit_error(str(error), 1)
    except BrokenPipeError:  # the reader of the output, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + 13)  # as a shell reports SIGPIPE
    except OSError as error:
        if not is_unwritable(error):
            raise
        denied = error.errno in (errno.EACCES, errno.EPERM)
        exit_error(
            f"{'no access to' if denied else 'cannot write'} {error.filename or 'a file'}: {error.strerror or error}", 2
        )
    except StoppedBySignal as stop:
        forward_to_submitit(stop.signum)
        sys.exit(128 + stop.signum)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


allowed_targets = exit_with_message()(own_code.allowed_targets)  # allowed targets


def run_program(main: Callable[[], None]) -> NoReturn:
    """Run `main` as a program, and end the process at once.

    After an import of torch and Lightning, Python's own exit takes 2.5 of 6.2 s of processor time of a short program.
    """
    code: Any = 0
    try:
        with exit_with_message():
            main()
            sys.stdout.flush()  # here a closed pipe or a full disk can still be reported
    except SystemExit as end:
        code = end.code
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


def checked_task(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Decorate the task of one run: check its configuration, or that of the run it resumes."""

    @functools.wraps(task)
    def checked(config: DictConfig) -> Any:
        config = note_own_files(job_config.job_config(config))
        if config.sweep.job.folder:
            return run_job.run_job(task, config)
        if config.resume:
            return resume_task(task, config)
        if done := best_experiment.finished_before(config, job_config.config_sources(HydraConfig.get())):
            print(f"note: {done} has the same settings and is finished; this command trains again", flush=True)
        return task(config)

    return checked


def run_task(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Decorate the task of one run of a program, which an error ends with a sentence and an exit code."""
    checked = checked_task(task)

    @functools.wraps(task)
    def guarded(config: DictConfig) -> Any:
        with exit_with_message():  # not as a decorator, which launchers could not pickle
            return checked(config)

    return guarded


def resume_task(task: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    """Resume the run that `config.resume` names; a run of a sweep only as the sweep would."""
    folder, origin = Path(config.resume), f"{config.resume}/config.yaml"
    going_on = settings.with_schema_types(resumed_config(config, job_config.task_overrides(), settings.GROUPS), origin)
    if read_manifest(folder.parent) is None:
        return task(going_on)
    if run_id(going_on) != run_id(settings.with_schema_types(read_run_config(folder), origin)):
        copy = Path(going_on.log_dir) / "runs" / folder.name
        new = " ".join(item for item in job_config.task_overrides() if not item.startswith("resume="))
        raise SettingError(
            f"{folder} is a run of a sweep and cannot be changed: to train it longer, copy it and resume the copy:"
            f" {join_words(['mkdir', '-p', str(copy.parent)])} && {join_words(['cp', '-r', str(folder), str(copy)])}"
            f" && {program_name()} {quote_override('resume', copy)} {new}"
        )
    with locks.run_lock(folder.parent, folder.name) as mine:
        if not mine:
            raise SettingError(f"{folder} is in use by {locks.lock_owner(folder.parent, folder.name)}")
        return task(going_on)


def run_command_line(main: Callable[[], Any]) -> NoReturn:
    """Run a `hydra.main` task as a program: exit code 0, 1 (failed), 2 (refused), 130 or 143 (stopped by a signal)."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        with exit_with_message():
            print(help_text(), flush=True)
        sys.exit(0)
    with exit_with_message():
        argument_checks.check_options(arguments)
        run_overrides(main, arguments)
    sys.exit(0)


def run_overrides(main: Callable[[], Any], arguments: list[str]) -> None:
    """Check the arguments of a `hydra.main` task and run it. Changes sys.argv, which Hydra reads."""
    compose.register_with_hydra()
    grid_sweeper.register_sweepers()
    own_code.export_project_root()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise errors instead of printing them
    arguments = normalize_overrides(arguments, known_settings.folders_for_arguments(arguments))
    argument_checks.check_reserved_settings(arguments)
    argument_checks.check_single_choices(arguments)
    arguments = add_run_choices(arguments, known_settings.folders_for_arguments(arguments))
    sys.argv[1:] = arguments
    if show_settings.show_settings(arguments):
        return
    with hydra_errors.explained_to_user(arguments):
        main()

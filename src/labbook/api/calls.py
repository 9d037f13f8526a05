"""A call from Python: its arguments as those of a command line, and errors that are raised. Imports no torch."""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from labbook.config import job_config, own_code
from labbook.config.invocation import called_by, for_caller
from labbook.config.schema import GROUPS
from labbook.errors import RunError, SettingError, StoppedBySignal, StoppedByUser, abbreviate
from labbook.installation import PROJECT_VARIABLE
from labbook.sweeps.best_experiment import plain_override


def override_arguments(overrides: Sequence[str], settings: Mapping[str, Any], swept: bool = False) -> list[str]:
    """The words of a command line for `overrides` (such words) and `settings` (values of Python).

    With `swept`, a list or a tuple has the values of a sweep.
    """
    for word in overrides:
        if not isinstance(word, str) or word.startswith("-") or word != word.strip():
            raise SettingError(
                f"{abbreviate(repr(word))} is not a setting: use one text for each, such as 'model=mlp';"
                " several runs are sweep(...) and not -m"
            )
    return [*overrides, *(f"{name}={python_override(name, value, swept)}" for name, value in settings.items())]


def python_override(name: str, value: Any, swept: bool = False) -> str:
    """A value of Python as the override of a setting."""
    if hasattr(value, "tolist"):  # of NumPy or torch
        value = value.tolist()
    if isinstance(value, (list, tuple, range)):
        items = [python_override(name, item) for item in value]
        return ",".join(items) if swept else f"[{','.join(items)}]"
    if isinstance(value, (str, Path)):
        plain = name in GROUPS or re.fullmatch(r"[\w./:+-]+", str(value))
        return str(value) if plain else plain_override(str(value))
    if value is None or isinstance(value, (bool, int, float, dict)):
        return plain_override(value)
    use = "use a text, a number, True, False, None, a list or a dict; for a run, resume=run.folder"
    raise SettingError(f"{name}={abbreviate(repr(value))}: {use}")


@contextmanager
def called_from_python(arguments: Sequence[str] = ()) -> Iterator[None]:
    """Within this context, the process has the arguments, the project and Ctrl-C of a program; afterwards its own.

    Raises:
        SettingError: with the words of Python in place of those of a command line.
        StoppedByUser: Ctrl-C, after the state was saved.
    """
    job_config.reference_config.cache_clear()  # files of a project change between two cells
    argv, environment = sys.argv, {name: os.environ.get(name) for name in (PROJECT_VARIABLE, "HYDRA_FULL_ERROR")}
    sys.argv = ["labbook", *arguments]
    if project := own_code.project_around(Path.cwd()):
        os.environ[PROJECT_VARIABLE] = str(project)
    try:
        with called_by("Python"), interrupts_raise():
            try:
                yield
            except (SettingError, RunError) as error:
                error.args = (for_caller(str(error)),)
                raise
    except StoppedBySignal as stop:
        if stop.signum != signal.SIGINT and signal.getsignal(stop.signum) == signal.SIG_DFL:
            signal.raise_signal(stop.signum)  # ends as it would have without Labbook, now that the state is saved
        raise StoppedByUser("stopped; the state is saved") from None
    finally:
        sys.argv = argv
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def interrupts_raise() -> Iterator[None]:
    """Within this context, Ctrl-C raises KeyboardInterrupt, also during an import, where a program ends at once."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, raise_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)

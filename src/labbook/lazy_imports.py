"""Imports torch and Lightning sooner than Python by itself does. Imports no torch."""

import atexit
import gc
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from labbook.errors import SettingError
from labbook.installation import setup_advice
from labbook.signals import end_on_interrupt

# The first version that no known file makes run code when it is loaded with weights_only=True: before it there were
# CVE-2025-32434 (2.6) and CVE-2026-24747 (2.10).
SAFE_TORCH = (2, 10)

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # which Lightning reads while it is imported


def process_number(variable: str, default: int = 0) -> int:
    """The number that a launcher of processes put into an environment variable; `default` where it is not set."""
    value = os.environ.get(variable)
    if value is None:
        return default
    if not value.isdecimal():
        raise SettingError(
            f"the environment variable {variable}={value} must be a number, 0 or more: unset it, or correct it"
        )
    return int(value)


def check_torch() -> None:
    """Refuse an installation that pyproject.toml would not have made, without importing torch."""
    try:
        there = version("torch")
    except PackageNotFoundError as error:
        raise SettingError(f"torch is not installed: {setup_advice()}") from error
    if tuple(int(number) for number in re.findall(r"\d+", there)[:2]) < SAFE_TORCH:
        least = ".".join(map(str, SAFE_TORCH))
        raise SettingError(
            f"torch {there} may run code that a checkpoint holds: install torch>={least}, or {setup_advice()}"
        )


@contextmanager
def import_torch_stack() -> Iterator[None]:
    """Import torch, and what needs it, within: without looking for garbage meanwhile, nor there during the training.

    All that a module defines lasts, yet Python's collector goes through it again and again as it grows to a million
    objects, and in every full collection afterwards. Without that, importing takes four fifths of its time. Does
    nothing where torch has been imported.
    """
    check_torch()
    for variable in RANKS:
        process_number(variable)
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        with end_on_interrupt():
            yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # Triton complains at the end of whatever of it was not collected
        gc.enable()

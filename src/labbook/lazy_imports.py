"""Import torch and Lightning faster than Python does. Imports no torch."""

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

# The first version without a known file that runs code with weights_only=True: earlier ones have CVE-2025-32434 (2.6)
# and CVE-2026-24747 (2.10).
SAFE_TORCH = (2, 10)

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # Lightning reads it during its import


def process_number(variable: str, default: int = 0) -> int:
    """The number that a launcher of processes set in an environment variable, or `default`."""
    value = os.environ.get(variable)
    if value is None:
        return default
    if not value.isdecimal():
        raise SettingError(
            f"the environment variable {variable}={value} must be a number, 0 or more: unset it, or correct it"
        )
    return int(value)


def check_torch() -> None:
    """Refuse versions that pyproject.toml does not allow, without importing torch."""
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
    """Import torch, and modules that need it, within this context without garbage collection.

    Module objects live forever, but the collector visits them again and again as it grows to a million objects. Without
    it, importing takes four fifths of the time. Afterwards they are ignored by the collector. No effect if torch is
    imported already.
    """
    check_torch()
    for variable in RANKS:
        process_number(variable)
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # Triton complains at exit about objects that were not collected
        gc.enable()

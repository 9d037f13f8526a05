"""Imports torch and Lightning sooner than Python by itself does. Imports no torch."""

import atexit
import gc
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


def check_torch() -> None:
    """Refuse an installation that pyproject.toml would not have made, without importing torch.

    Raises:
        SettingError: torch is older than `SAFE_TORCH`, or not installed.
    """
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

    Raises:
        SettingError: a torch whose loading of checkpoints is not to be trusted.
    """
    check_torch()
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

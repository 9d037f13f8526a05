"""Imports torch and Lightning sooner than Python by itself does. Imports no torch."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy() -> Iterator[None]:
    """Import torch, and what needs it, within: without looking for garbage meanwhile, nor there during the training.

    All that a module defines lasts, yet Python's collector goes through it again and again as it grows to a million
    objects, and in every full collection afterwards. Without that, importing takes four fifths of its time. Does
    nothing where torch has been imported.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # Triton complains at the end of whatever of it was not collected
        gc.enable()

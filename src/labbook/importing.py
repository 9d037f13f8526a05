"""Imports torch and Lightning sooner than Python by itself does. Imports no torch."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy() -> Iterator[None]:
    """Import torch, and what needs it, within: without looking for garbage meanwhile or there ever again.

    All that a module defines lasts, yet Python's collector goes through it again and again as it grows to a million
    objects, in every full collection of a training, and once more when the process ends. Without that, importing
    takes four fifths of its time and ending a process a fifth. Does nothing where torch has been imported.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

"""All private names of TensorBoard that the package uses; tests/training/test_tensorboard_internals.py checks them."""

import sys
import threading
from functools import cache
from types import ModuleType


def without_tensorflow() -> None:
    """Keep TensorBoard from importing an installed TensorFlow, which takes seconds."""
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


@cache
def silence_writer_thread() -> None:
    """Let the writer thread end without a traceback: the next write gets its error."""
    hook = threading.excepthook

    def quiet(failed: threading.ExceptHookArgs) -> None:
        if not (isinstance(failed.exc_value, OSError) and type(failed.thread).__name__ == "_AsyncWriterThread"):
            hook(failed)

    threading.excepthook = quiet

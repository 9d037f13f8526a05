"""All that is used of TensorBoard beyond its public names; tests/training/test_tensorboard_internals.py holds it."""

import sys
import threading
from functools import cache
from types import ModuleType


def without_tensorflow() -> None:
    """Keep TensorBoard from importing a TensorFlow that it finds, for seconds and without need: its own sign for it."""
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


@cache
def silence_writer_thread() -> None:
    """Let the thread that writes events die without a traceback: whoever writes next is given its error."""
    hook = threading.excepthook

    def quiet(failed: threading.ExceptHookArgs) -> None:
        if not (isinstance(failed.exc_value, OSError) and type(failed.thread).__name__ == "_AsyncWriterThread"):
            hook(failed)

    threading.excepthook = quiet

"""A process with TensorFlow alone in it, what it is told, and how it is asked.

Torch and TensorFlow stay out of each other's way so: their threads, their memory, and the copies of LLVM that both
bring along, which end a process that loads TensorFlow's before Triton's. Nothing here imports either of them.
"""

import atexit
import importlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labbook.errors import SettingError, missing_package_message
from labbook.installation import CHECKOUT

Array = NDArray[Any]

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}


@dataclass(frozen=True)
class Layer:
    """A class of `keras.layers`, its settings, and its weights in the order that `set_weights` takes them."""

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    weights: tuple[Array, ...] = ()


class Pictures(NamedTuple):
    """Images as they lie on disk, and how they are scaled to what a network sees."""

    pixels: NDArray[np.uint8]  # [N, H, W, C]
    labels: NDArray[np.int64]  # [N]
    mean: tuple[float, ...]  # per channel, of pixels scaled to [0, 1]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Training:
    """What Keras is to train, and how."""

    layers: list[Layer]
    images: Pictures
    optimizer: tuple[str, dict[str, Any]]  # a class of `keras.optimizers` and its settings
    batch_size: int
    epochs: int = 1
    shuffle: bool = True
    seed: int = 0
    policy: str = "float32"  # of the numbers, by Keras' names


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images."""

    test_acc: float
    seconds: float  # of the training steps


def installed() -> bool:
    """Whether there is a TensorFlow; looked up without loading it."""
    return find_spec("tensorflow") is not None


class Process:
    """Another Python that waits for calls of the functions in `keras_worker`, and ends with this one."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", __name__]
        self.python = subprocess.Popen(
            command,
            env=os.environ | QUIET | {"PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, function: str, *arguments: Any) -> Any:
        """What a function returns there.

        Raises:
            RuntimeError: it failed there, with its traceback; or the process died.
        """
        assert self.python.stdin is not None
        assert self.python.stdout is not None
        try:
            pickle.dump((function, arguments), self.python.stdin, protocol=5)
            self.python.stdin.flush()
            went_well, answer = pickle.load(self.python.stdout)
        except (EOFError, BrokenPipeError) as error:
            code = self.python.wait()
            raise RuntimeError(f"the process of TensorFlow ended with exit code {code}") from error
        if not went_well:
            raise RuntimeError(f"in the process of TensorFlow:\n{answer}")
        return answer

    def close(self) -> None:
        """End it, whatever it does."""
        self.python.kill()
        self.python.communicate()


@cache
def process() -> Process:
    """The one process of this program; started when it is first asked for.

    Raises:
        SettingError: TensorFlow is not installed.
    """
    if not installed():
        raise SettingError(missing_package_message("TensorFlow", "keras"))
    started = Process()
    atexit.register(started.close)
    return started


def answer(requests: BinaryIO, answers: BinaryIO) -> None:
    """Do what is asked, one after the other, until whoever asks is gone; even in the middle of a training."""
    waiting: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue()

    def read() -> None:
        try:
            while True:
                waiting.put(pickle.load(requests))
        except EOFError:
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        function, arguments = waiting.get()
        try:
            reply = (True, getattr(importlib.import_module("tools.benchmark.keras_worker"), function)(*arguments))
        except Exception:
            reply = (False, traceback.format_exc())
        pickle.dump(reply, answers, protocol=5)
        answers.flush()


def main() -> None:
    """The other Python: answers go where it would print, and what it prints goes nowhere."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    answer(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()

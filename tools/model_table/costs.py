"""What a network costs: parameters, operations, memory and time."""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tools.benchmark.bare_loop import Bare, now

LEAST = 3  # steps that count
ENOUGH = 1.0  # seconds of steps that count

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # torch's profiler would write about itself to the error stream


def peak_memory(bare: Bare, images: Tensor, labels: Tensor) -> int | None:
    """Most bytes that tensors hold at once in a step of training, after a first one; None where torch cannot tell.

    Weights, buffers, gradients, the optimizer's state, images and activations, and what torch takes for its
    computations meanwhile. Not Python and the libraries, nor what an allocator keeps beyond that.
    """
    bare.step(images, labels)  # makes the optimizer's state
    if bare.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(bare.device)
        bare.step(images, labels)
        return torch.cuda.max_memory_allocated(bare.device)
    if bare.device.type != "cpu":
        return None
    bare.optimizer.zero_grad()
    held = bytes_of([images, labels, *bare.model.parameters(), *bare.model.buffers(), *states(bare.optimizer)])
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as taken:
        bare.step(images, labels)  # after which there are gradients during the forward pass, too
        bare.step(images, labels)
    return held + most(taken)


def bytes_of(tensors: list[Tensor]) -> int:
    """What tensors hold, each memory once."""
    storages = {item.untyped_storage().data_ptr(): item.untyped_storage().nbytes() for item in tensors}
    return sum(storages.values())


def states(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """The tensors of an optimizer's state."""
    return [item for state in optimizer.state.values() for item in state.values() if isinstance(item, Tensor)]


def most(taken: profile) -> int:
    """The highest sum of what was allocated and freed during a profile, in bytes."""
    assert taken.profiler is not None
    assert taken.profiler.kineto_results is not None
    events: list[Any] = [event for event in taken.profiler.kineto_results.events() if event.name() == "[memory]"]
    total = highest = 0
    for event in sorted(events, key=lambda each: each.start_ns()):
        total += event.nbytes()
        highest = max(highest, total)
    return highest


def pace(step: Callable[[], object], device: torch.device, images: int) -> float:
    """Images/s of a step that takes so many: the median of a few, for about a second, after one that does not count.

    On a CPU, seconds of processor time: with one thread, other programs hardly change them.
    """
    seconds: list[float] = []
    clock = time.process_time if device.type == "cpu" else partial(now, device)
    step()  # the first may compile, or look for the fastest way
    while len(seconds) < LEAST or sum(seconds) < ENOUGH:
        start = clock()
        step()
        seconds.append(clock() - start)
    return images / statistics.median(seconds)

"""Sharpness-aware minimisation: the gradient where the loss is highest near the weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils import get_total_norm

from labbook.data.randomness import get_rng_states, set_rng_states
from labbook.errors import SettingError
from labbook.training.hardware import UNSCALED
from labbook.training.metrics import RunningMetrics
from labbook.training.parameter_groups import batch_norms

SMALLEST = 1e-12  # added to the norm of the gradient


def check_sam(accumulate_grad_batches: int, precision: str = "") -> None:
    if accumulate_grad_batches != 1:
        raise SettingError("task.sam needs both passes over one batch: use trainer.accumulate_grad_batches=1")
    if precision == "16-mixed":
        raise SettingError(UNSCALED)


def sam_gradient(network: nn.Module, closure: Callable[[], Any], rho: float, sums: RunningMetrics) -> Any:
    """Set `grad` to the gradient at the weights moved up the loss by `rho` (Foret et al., arXiv 2010.01412).

    `closure` is a forward and backward pass; it is called twice with the same random numbers (dropout, mixing).
    Training metrics in `sums`, batch normalisation's running statistics and the return value are those of the first
    pass. The weights do not change.
    """
    weights = [item for item in network.parameters() if item.requires_grad]
    device = weights[0].device
    drawn_from = get_rng_states(device)
    result = closure()
    moved = [item for item in weights if item.grad is not None]
    with torch.no_grad():
        gradients = [item.grad for item in moved if item.grad is not None]
        scale = rho / (get_total_norm(gradients) + SMALLEST)
        before = [item.clone() for item in moved]
        for item, step in zip(moved, gradients, strict=True):
            item.add_(step * scale)
    set_rng_states(drawn_from, device)
    try:
        with keep_batch_statistics(network), sums.paused():
            closure()
    finally:
        with torch.no_grad():
            for item, old in zip(moved, before, strict=True):
                item.copy_(old)
    return result


@contextmanager
def keep_batch_statistics(network: nn.Module) -> Iterator[None]:
    """Within this context, batch normalisation uses the batch statistics and does not update its running statistics."""
    tracking = batch_norms(network)
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True

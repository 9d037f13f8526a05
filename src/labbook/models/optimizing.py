"""From what a task names to an optimizer and its schedule, as a trainer takes them."""

import inspect
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from labbook.models.parameter_groups import check_kept
from labbook.schedulers import Schedule


def optimizer_of(make: Callable[..., Optimizer], groups: list[dict[str, Any]], fused: bool) -> Optimizer:
    """The optimizer for groups of parameters; if `fused`, in the form with one kernel, where it has that."""
    return make(groups, **({"fused": True} if fused and has_fused(make) else {}))


def has_fused(optimizer: Callable[..., Any]) -> bool:
    """Whether an optimizer does its step in one kernel on request (AlexNet's Adam: 0.42 s plain, 0.045 s fused)."""
    return (
        "fused" in inspect.signature(optimizer).parameters and getattr(optimizer, "keywords", {}).get("fused") is None
    )


def scheduled(optimizer: Optimizer, make: Callable[..., Schedule | LRScheduler], **counts: int | None) -> Any:
    """An optimizer and its schedule for Lightning; `counts` are what the schedule may ask for.

    Raises:
        SettingError: see `check_kept`.
    """
    known = inspect.signature(make).parameters
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    schedule = make(optimizer, **{key: value for key, value in counts.items() if key in known})
    if not isinstance(schedule, Schedule):
        schedule = Schedule(schedule, "epoch")
    check_kept(rates, optimizer, schedule.scheduler)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule.scheduler, "interval": schedule.interval}}

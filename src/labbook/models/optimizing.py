"""From what a task names to an optimizer and its schedule, as a trainer takes them."""

import inspect
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, LRScheduler, OneCycleLR

from labbook.errors import SettingError
from labbook.models.parameter_groups import check_kept
from labbook.schedulers import Schedule

CYCLES = (CyclicLR, OneCycleLR)  # of torch, which count in steps; its others count in epochs


def optimizer_of(make: Callable[..., Optimizer], groups: list[dict[str, Any]], fused: bool) -> Optimizer:
    """The optimizer for groups of parameters; if `fused`, in the form with one kernel, where it has that."""
    return make(groups, **({"fused": True} if fused and has_fused(make) else {}))


def has_fused(optimizer: Callable[..., Any]) -> bool:
    """Whether an optimizer does its step in one kernel on request (AlexNet's Adam: 0.42 s plain, 0.045 s fused)."""
    chosen = getattr(optimizer, "keywords", {})
    return (
        "fused" in inspect.signature(optimizer).parameters
        and chosen.get("fused") is None
        and not chosen.get("foreach")  # which torch has in another form
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
        schedule = Schedule(schedule, "step" if isinstance(schedule, CYCLES) else "epoch")
    check_kept(rates, optimizer, schedule.scheduler)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule.scheduler, "interval": schedule.interval}}


def follow(scheduler: Any, steps: int) -> None:
    """Give the optimizer the rates that the schedule has for this step, in a training that goes on for longer.

    A checkpoint brings back the rates of the schedule of before, which came to its end where this one has not.

    Raises:
        SettingError: a schedule of torch that ends before the `steps` of the training do.
    """
    total = getattr(scheduler, "total_steps", steps)
    if total < steps:
        raise SettingError(
            f"scheduler={type(scheduler).__name__} is made for {total} steps and the training has {steps}: use fewer"
            " epochs, or start a new run"
        )
    if isinstance(scheduler, LambdaLR):
        groups = scheduler.optimizer.param_groups
        for group, peak, rule in zip(groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True):
            group["lr"] = peak * rule(scheduler.last_epoch)

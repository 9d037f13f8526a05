"""The learning rates of a schedule, step by step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler

from labbook.training.schedulers import (
    Interval,
    Schedule,
    constant,
)

EPOCHS, STEPS = 10, 8  # so 80 steps


Factory = Callable[..., Schedule]


def optimizer(lr: float = 1.0) -> SGD:
    return SGD([nn.Parameter(torch.zeros(1))], lr=lr)


def followed(optimizer: SGD, scheduler: LRScheduler, count: int) -> list[float]:
    """The learning rate of the next `count` steps, and the one after them."""
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return [*rates, optimizer.param_groups[0]["lr"]]


def rates(factory: Factory, interval: Interval = "step", lr: float = 1.0, **options: Any) -> list[float]:
    """The learning rate at each count of steps or epochs, the end included."""
    sgd = optimizer(lr)
    schedule = factory(sgd, EPOCHS, STEPS, interval=interval, **options)
    stays = factory is constant and not options.get("warmup_epochs")  # which nothing is gained by stepping
    assert schedule.interval == ("epoch" if stays else interval)
    return followed(sgd, schedule.scheduler, EPOCHS * (STEPS if interval == "step" else 1))

"""Learning-rate schedules with warm-up, counted in steps or in epochs; `optimizer.lr` is always the peak."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from labbook.config.schema import lower_is_better
from labbook.config.target_rules import Interval, Scheduler
from labbook.config.target_rules import Schedule as Schedule

AnyScheduler = Schedule | LRScheduler | Scheduler

Part = Annotated[float, Ge(0), Le(1)]  # fraction of the training


def with_warmup(
    factor: Callable[[float], float], epochs: int, steps_per_epoch: int, warmup_epochs: float, interval: Interval
) -> Callable[[int], float]:
    """The factor of the learning rate at a count of steps or epochs.

    It rises linearly during `warmup_epochs`, never from zero. Then it is `factor` of the finished fraction of the
    remaining training, from 0 to 1.
    """
    unit = 1 if interval == "epoch" else steps_per_epoch
    warmup, total = warmup_epochs * unit, epochs * unit

    def at(count: int) -> float:
        if count < warmup:
            return (count + 1) / (warmup + 1)
        return factor(min(1.0, (count - warmup) / max(1.0, total - warmup)))

    return at


def constant(
    optimizer: Optimizer,
    epochs: int,
    steps_per_epoch: int,
    *,
    warmup_epochs: NonNegativeFloat = 0.0,
    interval: Interval = "step",
) -> Schedule:
    """A constant learning rate after an optional warm-up."""
    rule = with_warmup(lambda _: 1.0, epochs, steps_per_epoch, warmup_epochs, interval)
    return Schedule(LambdaLR(optimizer, rule), interval if warmup_epochs else "epoch")


def step(
    optimizer: Optimizer,
    epochs: int,
    steps_per_epoch: int,
    *,
    milestones: Sequence[Part] = (0.5, 0.75),
    gamma: PositiveFloat = 0.1,
    warmup_epochs: NonNegativeFloat = 0.0,
    interval: Interval = "epoch",
) -> Schedule:
    """Multiplied by `gamma` at each milestone, a fraction of the training after the warm-up."""

    def factor(done: float) -> float:
        return gamma ** sum(done >= milestone for milestone in milestones)

    rule = with_warmup(factor, epochs, steps_per_epoch, warmup_epochs, interval)
    return Schedule(LambdaLR(optimizer, rule), interval)


def half_cosine(start: float, end: float, done: float) -> float:
    """Half a cosine from `start` to `end`, at the fraction `done`."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def cosine(
    optimizer: Optimizer,
    epochs: int,
    steps_per_epoch: int,
    *,
    final_factor: NonNegativeFloat = 0.0,
    warmup_epochs: NonNegativeFloat = 0.0,
    interval: Interval = "step",
) -> Schedule:
    """Half a cosine from the learning rate down to `final_factor` of it (Loshchilov and Hutter, 2017)."""
    factor = partial(half_cosine, 1, final_factor)
    rule = with_warmup(factor, epochs, steps_per_epoch, warmup_epochs, interval)
    return Schedule(LambdaLR(optimizer, rule), interval)


def one_cycle(
    optimizer: Optimizer,
    epochs: int,
    steps_per_epoch: int,
    *,
    warmup_fraction: Part = 0.3,
    start_factor: PositiveFloat = 0.04,
    final_factor: NonNegativeFloat = 4e-6,
    interval: Interval = "step",
) -> Schedule:
    """Half a cosine up and half a cosine down, like torch's OneCycleLR (Smith and Topin, 2018).

    The last step has `final_factor`; the momentum does not change. With `interval=epoch` the peak is at a whole epoch;
    it is torch's if `warmup_fraction` of the epochs is a whole number.
    """
    total = epochs * (steps_per_epoch if interval == "step" else 1)
    last, peak = total - 1, warmup_fraction * total - 1
    if interval == "epoch":
        peak = max(0, math.floor(peak + 0.5))

    def factor(count: int) -> float:
        count = min(count, last)
        if count <= peak:
            return half_cosine(start_factor, 1.0, count / peak) if peak else 1.0
        return half_cosine(1.0, final_factor, (count - peak) / (last - peak))

    return Schedule(LambdaLR(optimizer, factor), interval)


def onecycle(
    optimizer: Optimizer,
    epochs: int,
    steps_per_epoch: int,
    *,
    warmup_fraction: Part = 0.3,
    start_factor: PositiveFloat = 0.04,
    final_factor: NonNegativeFloat = 1e-4,
    interval: Interval = "step",
) -> Schedule:
    """`one_cycle` of version 0.1, one step behind torch's, for runs that used it."""

    def factor(done: float) -> float:
        if done < warmup_fraction:
            return half_cosine(start_factor, 1.0, done / warmup_fraction)
        return half_cosine(1.0, final_factor, (done - warmup_fraction) / max(1e-12, 1 - warmup_fraction))

    return Schedule(LambdaLR(optimizer, with_warmup(factor, epochs, steps_per_epoch, 0.0, interval)), interval)


def triangular(
    optimizer: Optimizer,
    epochs: int,
    steps_per_epoch: int,
    *,
    peak: Part = 0.23,
    start_factor: PositiveFloat = 0.2,
    final_factor: NonNegativeFloat = 0.07,
    interval: Interval = "step",
) -> Schedule:
    """Linear up and linear down; the defaults are those of airbench94 (Jordan, 2024)."""

    def factor(done: float) -> float:
        if done < peak:
            return start_factor + (1 - start_factor) * done / peak
        return 1 + (final_factor - 1) * (done - peak) / max(1e-12, 1 - peak)

    return Schedule(LambdaLR(optimizer, with_warmup(factor, epochs, steps_per_epoch, 0.0, interval)), interval)


class Plateau(ReduceLROnPlateau):
    """torch's ReduceLROnPlateau with the name of its metric.

    `optimizers.step_metric_schedules` steps it. Lightning would do so after the epoch is saved, and a resumed run would
    miss that step. Without a metric, it steps every schedule before validation.
    """

    def __init__(self, optimizer: Optimizer, monitor: str, **options: Any) -> None:
        super().__init__(optimizer, **options)
        self.monitor = monitor

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:  # type: ignore[override]
        if metrics is not None:
            super().step(metrics, epoch)


def plateau(
    optimizer: Optimizer,
    *,
    monitor: str = "val/acc",
    mode: Literal["auto", "min", "max"] = "auto",
    factor: Annotated[float, Gt(0), Lt(1)] = 0.1,
    patience: NonNegativeInt = 5,
    threshold: NonNegativeFloat = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: NonNegativeInt = 0,
    min_lr: NonNegativeFloat = 0.0,
) -> Schedule:
    """Multiplied by `factor` when `monitor` has not improved for more than `patience` epochs, as in torch.

    With `mode="auto"` a metric with "loss" in its name is minimised, any other maximised.
    """
    direction = ("min" if lower_is_better(monitor) else "max") if mode == "auto" else mode
    options = {"factor": factor, "patience": patience, "threshold": threshold, "threshold_mode": threshold_mode}
    return Schedule(Plateau(optimizer, monitor, mode=direction, cooldown=cooldown, min_lr=min_lr, **options), "epoch")


class CountingScheduler(LRScheduler):
    """A scheduler of timm that is stepped like those of torch, without a count.

    Its state is the count: timm's schedulers compute the learning rates from it alone.
    """

    def __init__(self, scheduler: Any, interval: Interval) -> None:
        self.optimizer = scheduler.optimizer
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.count = self.last_epoch = 0
        self._step = scheduler.step if interval == "epoch" else scheduler.step_update

    def step(self, epoch: int | None = None) -> None:
        self.count += 1
        self.apply()

    def get_last_lr(self) -> list[float | Tensor]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def apply(self) -> None:
        """Set the learning rates of the count; at 0, those of the constructor stay."""
        if self.count:
            self._step(self.count)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count = state_dict["count"]

"""The optimizer and schedule that a task names, as a Trainer takes them."""

import inspect
import math
from collections.abc import Callable
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, LRScheduler, OneCycleLR
from torch.utils.data import DataLoader, DistributedSampler

from labbook.config.target_rules import Interval
from labbook.errors import SettingError, list_choices
from labbook.training.parameter_groups import check_rates_kept
from labbook.training.schedulers import AnyScheduler, CountingScheduler, Plateau, Schedule

CYCLES = (CyclicLR, OneCycleLR)  # of torch, counted in steps; its others are counted in epochs


def make_optimizer(make: Callable[..., Optimizer], groups: list[dict[str, Any]], fused: bool) -> Optimizer:
    """The optimizer for parameter groups; `fused` if it has that form."""
    return make(groups, **({"fused": True} if fused and has_fused(make) else {}))


def has_fused(optimizer: Callable[..., Any]) -> bool:
    """Whether an optimizer has a one-kernel step (AlexNet's Adam: 0.42 s plain, 0.045 s fused)."""
    chosen = getattr(optimizer, "keywords", {})
    open_choice = chosen.get("fused") is None and not chosen.get("foreach")  # torch has it in another form
    return open_choice and "fused" in inspect.signature(optimizer).parameters


def clip_gradients(
    model: LightningModule, optimizer: Optimizer, value: int | float | None, algorithm: str | None
) -> None:
    """Clip gradients; Lightning refuses to for fused optimizers in bf16.

    In bf16 the gradients are not scaled, so they can be clipped as in 32 bits.
    """
    plugin = model.trainer.precision_plugin
    if value and isinstance(plugin, MixedPrecision) and plugin.scaler is None:
        Precision.clip_gradients(plugin, optimizer, value, GradClipAlgorithmType(algorithm or "norm"))
    elif value:
        model.clip_gradients(optimizer, value, algorithm)


def with_schedule(optimizer: Optimizer, make: Callable[..., AnyScheduler], **counts: int | None) -> Any:
    """An optimizer and its schedule for Lightning; `counts` are the arguments a schedule may ask for."""
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    made = make(optimizer, **accepted_counts(make, counts))
    check_rates_kept(rates, optimizer, getattr(made, "scheduler", made))
    schedule = as_schedule(made)
    steps = math.prod(count or 0 for count in counts.values())
    if isinstance(schedule.scheduler, OneCycleLR) and schedule.scheduler.total_steps < steps:
        raise SettingError(
            f"scheduler: OneCycleLR ends after {schedule.scheduler.total_steps} of the training's {steps} steps:"
            " leave out total_steps, epochs and steps_per_epoch"
        )
    stepped = {"interval": schedule.interval, "reduce_on_plateau": False}  # by Lightning; see `step_metric_schedules`
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule.scheduler, **stepped}}


def as_schedule(made: AnyScheduler) -> Schedule:
    """A schedule, or a scheduler of torch or timm with how often to step it."""
    if isinstance(made, Schedule):
        return made
    if isinstance(made, LRScheduler):
        return Schedule(made, "step" if isinstance(made, CYCLES) else "epoch")
    interval: Interval = "epoch" if getattr(made, "t_in_epochs", True) else "step"
    return Schedule(CountingScheduler(made, interval), interval)


def steps_per_epoch(trainer: Trainer) -> int:
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    loader = data.train_dataloader()  # Lightning's own estimate would start the loaders before their state is restored
    try:
        batches = len(loader)
    except TypeError as error:
        raise SettingError(
            f"{type(data).__name__} has a training loader without a length, which the schedule needs:"
            " add a __len__, or configure the optimizer in the model"
        ) from error
    if isinstance(loader, DataLoader) and not isinstance(loader.sampler, DistributedSampler):
        batches = -(-batches // trainer.world_size)  # Lightning gives each process a part of the images
    limit = trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    return -(-batches // trainer.accumulate_grad_batches)


def accepted_counts(make: Callable[..., Any], counts: dict[str, int | None]) -> dict[str, int | None]:
    """The counts that a schedule takes and its settings do not give."""
    taken = inspect.signature(make).parameters.keys() - getattr(make, "keywords", {}).keys()
    return {name: count for name, count in counts.items() if name in taken}


def apply_schedule_now(scheduler: Any, make: Callable[..., AnyScheduler], **counts: int | None) -> Any:
    """The schedule with its learning rates for this step, in a training that is made longer.

    A checkpoint restores the rates of the old schedule, which ended at another step. For torch's OneCycleLR it also
    restores the number of steps, so a new one is created.
    """
    steps = math.prod(count or 0 for count in counts.values())
    if isinstance(scheduler, OneCycleLR) and scheduler.total_steps != steps:
        return make(scheduler.optimizer, last_epoch=scheduler.last_epoch - 1, **accepted_counts(make, counts))
    if isinstance(scheduler, CountingScheduler):
        scheduler.apply()
    if isinstance(scheduler, LambdaLR):
        groups = scheduler.optimizer.param_groups
        for group, peak, rule in zip(groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True):
            group["lr"] = peak * rule(scheduler.last_epoch)
    return scheduler


def step_metric_schedules(trainer: Trainer) -> None:
    """At the end of an epoch, before it is saved: step the schedules that follow a metric, if it has a new value."""
    validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
    for scheduler in (config.scheduler for config in trainer.lr_scheduler_configs):
        if isinstance(scheduler, Plateau) and (validated or not scheduler.monitor.startswith("val/")):
            metrics = trainer.callback_metrics
            if scheduler.monitor not in metrics:
                known = list_choices(scheduler.monitor, metrics, "metrics")
                raise SettingError(f"scheduler.monitor={scheduler.monitor} is not logged; {known}")
            scheduler.step(float(metrics[scheduler.monitor]))

"""Communication between the processes of one run."""

from collections.abc import Callable

import torch
from pytorch_lightning import Trainer
from torch import Tensor


def any_rank(trainer: Trainer, mine: bool) -> bool:
    """Whether any process says yes, so that all do the same."""
    if trainer.world_size == 1:
        return mine
    decide: Callable[..., bool] = trainer.strategy.reduce_boolean_decision
    return decide(mine, all=False)


def every_rank(trainer: Trainer, mine: Tensor) -> list[Tensor]:
    """A CPU tensor of every process, by rank."""
    if trainer.world_size == 1:
        return [mine]
    mine = mine.to(trainer.strategy.root_device)
    gathered = [torch.empty_like(mine) for _ in range(trainer.world_size)]
    torch.distributed.all_gather(gathered, mine)
    return [each.cpu() for each in gathered]


def sum_over_ranks(trainer: Trainer, values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, on the CPU."""
    if trainer.world_size == 1:
        return values
    summed: Tensor = trainer.strategy.reduce(values.to(trainer.strategy.root_device), reduce_op="sum")
    return summed.cpu()

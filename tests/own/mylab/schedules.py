"""A schedule: the learning rate is proportional to 1 / sqrt(step)."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from labbook.training.schedulers import Schedule


def root(optimizer: Optimizer, steps_per_epoch: int, after: int = 1) -> Schedule:
    """Keeps the learning rate for `after` epochs, and then lowers it at each step."""
    flat = after * steps_per_epoch
    return Schedule(LambdaLR(optimizer, lambda step: (flat / max(flat, step)) ** 0.5), "step")

"""The images of an epoch and their order: a function of (seed, epoch), so that a position is three numbers."""

from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from labbook.data.checking import describe_tensor
from labbook.data.randomness import seed_from, seed_global_generators, seeded_generator
from labbook.errors import SettingError

CPU = torch.device("cpu")


@runtime_checkable
class Sampler(Protocol):
    """The protocol of `data.sampler`; your own class needs no base class."""

    def order(self, labels: Tensor, rows: Tensor, seed: int, epoch: int) -> Tensor:
        """The images of an epoch in their order, int64 [m]: any of `rows`, also repeated.

        `rows` (int64 [n]) are the training images and `labels` [n] their labels, both on the CPU. The result must
        depend on the arguments only, with the same `m` in every epoch.
        """


class Balanced:
    """Draws with replacement, each class with the same probability; as many images as the training set has."""

    def order(self, labels: Tensor, rows: Tensor, seed: int, epoch: int) -> Tensor:
        if labels.ndim != 1:
            raise SettingError("data.sampler=balanced needs one class per image, and these have several: use null")
        random = seeded_generator(CPU, seed, epoch)
        by_class = labels.argsort(stable=True)
        counts = torch.bincount(labels)
        counts = counts[counts > 0]  # of classes with images
        starts = counts.cumsum(0) - counts
        classes = torch.randint(len(counts), (len(rows),), generator=random)
        among = (torch.rand(len(rows), generator=random, dtype=torch.float64) * counts[classes]).long()
        return rows[by_class[starts[classes] + among]]


def make_sampler(sampler: Literal["balanced"] | Sampler | None, shuffle: bool) -> Sampler | None:
    if sampler is None:
        return None
    if not shuffle:
        raise SettingError("data.shuffle=false has no effect with data.sampler, which decides the order: leave it out")
    if sampler == "balanced":
        return Balanced()
    if not isinstance(sampler, Sampler):
        raise SettingError(f"data.sampler: {type(sampler).__name__} has no method order(labels, rows, seed, epoch)")
    return sampler


def draw_order(sampler: Sampler, labels: Tensor, rows: Tensor, seed: int, epoch: int) -> Tensor:
    """The order that a sampler returns, checked. Global generators are seeded from (seed, epoch) in the call."""
    with seed_global_generators(seed_from(seed, epoch), CPU):
        order = sampler.order(labels, rows, seed, epoch)
    expected = f"data.sampler: {type(sampler).__name__}.order must return some of the given rows, int64 [m], not"
    if not isinstance(order, Tensor) or order.dtype != torch.int64 or order.ndim != 1 or not len(order):
        raise SettingError(f"{expected} {describe_tensor(order)}")
    if not bool((known := torch.isin(order, rows)).all()):
        raise SettingError(f"{expected} {int(order[~known][0])}, which is no training image")
    return order

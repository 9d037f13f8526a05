"""Batches as slices of a permutation of one tensor; the position is (seed, epoch, step) and nothing else."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from labbook.data.randomness import random_permutation
from labbook.data.sampling import Sampler, draw_order
from labbook.errors import SettingError

# Numbers that are gathered and normalised at a time: up to twenty small batches, which saves a tenth of a small
# network's step. No more, so that they stay in a CPU's cache.
AT_ONCE = 2**19


class Batch(NamedTuple):
    """What one step sees of the data.

    `weight` scales the mean loss of this process so that, averaged over all processes, it is the mean over the
    whole batch; it is 1 with one process.
    """

    images: Tensor  # [n, C, H, W], uint8 until they are normalised
    labels: Tensor  # int64 [n]
    rows: Tensor  # int64 [n]: which images of the training or test set these are
    training: bool
    epoch: int
    step: int
    weight: float
    extra: Mapping[str, Tensor] = {}  # further tensors of the images, each [n, ...]: see `Images.extra`


class TensorLoader:
    """An iterable over batches that can say where it is and go on from there (`state_dict`, `load_state_dict`).

    `normalize` is what is done to all images alike. Small batches are gathered and normalised many at a time; larger
    ones, and all of several processes, come as they are, to be normalised by whoever takes them. `waiting` is entered
    while images are gathered. `sampler` decides which rows an epoch has; `extra` are further tensors of the images.

    With several processes each takes every `world_size`-th image of every batch, so a batch has the same images
    however many processes share it, and each image is seen once.
    """

    def __init__(
        self,
        images: Tensor,  # uint8 [N, C, H, W]
        labels: Tensor,  # int64 [N]
        rows: Tensor,  # int64 [n]: which images, in which order when not shuffled
        batch_size: int,
        *,
        training: bool = False,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        normalize: Callable[[Tensor], Tensor] | None = None,
        waiting: AbstractContextManager[None] | None = None,
        sampler: Sampler | None = None,
        extra: Mapping[str, Tensor] | None = None,  # each [N, ...]
    ) -> None:
        self.images, self.labels, self.rows = images, labels, rows
        self.batch_size, self.training, self.shuffle, self.drop_last = batch_size, training, shuffle, drop_last
        self.seed, self.rank, self.world_size = seed, rank, world_size
        together = AT_ONCE // max(1, batch_size * images[:1].numel())
        self.normalize = normalize if together > 1 and world_size == 1 else None
        self.together = together if self.normalize else 1  # batches
        self.waiting = waiting or nullcontext()
        self.extra = extra or {}
        if training:
            self.sampler = self  # Lightning tells the epoch to a loader's `sampler.set_epoch`
        self.epoch = 0
        self.step = 0  # the next one
        self._start = 0  # where the next iteration begins, if it goes on with an epoch
        self._sampler = sampler
        self._labels = labels.cpu()[rows] if sampler else labels
        self.count = (
            len(draw_order(sampler, self._labels, rows, seed, 0)) if sampler else len(rows)
        )  # images in an epoch

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(self.count, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def images_in(self, first: int, last: int) -> int:
        """How many images the batches from `first` up to `last`, which is not one of them, have together."""
        return min(last * self.batch_size, self.count) - first * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration belongs to; an epoch that was left in the middle goes on there."""
        if epoch != self.epoch:
            self.epoch, self.step, self._start = epoch, 0, 0

    def order(self) -> Tensor:
        """The images of this epoch in their order, int64 on the labels' device.

        Raises:
            SettingError: the sampler's epochs are not of one length.
        """
        rows = self.rows
        if self._sampler:
            rows = draw_order(self._sampler, self._labels, rows, self.seed, self.epoch)
            if len(rows) != self.count:
                raise SettingError(
                    f"data.sampler: {type(self._sampler).__name__}.order returned {self.count:,} rows in the first"
                    f" epoch and {len(rows):,} in epoch {self.epoch + 1}: every epoch must have the same number"
                )
        elif self.shuffle:
            rows = rows[random_permutation(len(rows), self.seed, self.epoch)]
        return rows.to(self.labels.device)

    def __iter__(self) -> Iterator[Batch]:
        rows = self.order()
        start, self._start = self._start, 0
        # Blocks begin at the same steps wherever the iteration does, so that a batch lies in memory alike.
        for first in range(start - start % self.together, len(self), self.together):
            block = rows[first * self.batch_size : min(first + self.together, len(self)) * self.batch_size]
            for step, batch in enumerate(self.batches(block), first):
                if step < start:
                    continue
                self.step = step + 1
                yield Batch(*batch[:3], self.training, self.epoch, step, *batch[3:])

    def batches(self, block: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, float, Mapping[str, Tensor]]]:
        """Images, labels, rows, weight and further tensors of each batch in a block of rows."""
        weight = 1.0
        if self.world_size > 1:
            mine = block[self.rank :: self.world_size]
            weight = len(mine) * self.world_size / len(block)
            # Every process must take part in every step; one that is left without an image repeats one for nothing.
            block = mine if len(mine) else block[:1]
        with self.waiting:
            images = self.images.index_select(0, block.to(self.images.device))
        labels = self.labels.index_select(0, block)
        if self.normalize is not None:
            images = self.normalize(images)
        parts = [torch.split(each, self.batch_size) for each in (images, labels, block)]
        for image, label, row, extra in zip(*parts, self._extra(block, len(parts[0])), strict=True):
            yield image, label, row, weight, extra

    def _extra(self, block: Tensor, batches: int) -> Iterable[Mapping[str, Tensor]]:
        """The further tensors of each batch in a block of rows."""
        if not self.extra:
            return [self.extra] * batches
        gathered = [each.index_select(0, block.to(each.device)) for each in self.extra.values()]
        parts = zip(*(torch.split(each, self.batch_size) for each in gathered), strict=True)
        return (dict(zip(self.extra, values, strict=True)) for values in parts)

    def state_dict(self) -> dict[str, int]:
        """The position: the epoch and the next step in it."""
        return {"epoch": self.epoch, "step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position that `state_dict` gave."""
        self.epoch = state["epoch"]
        self.step = self._start = state["step"]

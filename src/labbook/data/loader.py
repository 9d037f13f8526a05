"""Batches as slices of a permutation of one tensor; the position is (seed, epoch, step)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from labbook.data.randomness import random_permutation
from labbook.data.sampling import Sampler, draw_order
from labbook.errors import SettingError

# Numbers that are gathered and normalized at a time: up to twenty small batches, which saves a tenth of the step of a
# small network. Not more, so that they stay in a CPU's cache.
AT_ONCE = 2**19


class Batch(NamedTuple):
    """A batch.

    `weight` is a factor for the mean loss of this process: the average over all processes is then the mean over the
    whole batch. It is 1 with one process.
    """

    images: Tensor  # [n, C, H, W], uint8 until they are normalized
    labels: Tensor  # int64 [n]
    rows: Tensor  # int64 [n]: indices of the images in the training or test set
    training: bool
    epoch: int
    step: int
    weight: float
    extra: Mapping[str, Tensor] = {}  # further tensors of the images, each [n, ...]: see `Images.extra`


def take_images(images: Tensor, rows: Tensor) -> Tensor:
    """Images [N, C, H, W] at some rows; those of channels-last images are too, which `index_select` would change."""
    if images.is_contiguous() or not images.is_contiguous(memory_format=torch.channels_last):
        return images.index_select(0, rows)
    return images.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)


class TensorLoader:
    """An iterable over batches with a position that can be saved and restored (`state_dict`, `load_state_dict`).

    Small batches are gathered and normalized (`normalize`) many at a time. Larger ones, and those of several processes,
    are returned as they are, to be normalized later. `waiting` is entered while images are gathered.

    Each of several processes takes every `world_size`-th image of a batch. So a batch has the same images for any
    number of processes, and each image is used once.
    """

    def __init__(
        self,
        images: Tensor,  # uint8 [N, C, H, W], in any memory layout
        labels: Tensor,  # int64 [N]
        rows: Tensor,  # int64 [n]: which images, in the order without shuffling
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
            self.sampler = self  # Lightning calls `sampler.set_epoch` of a loader
        self.epoch = 0
        self.step = 0  # the next one
        self._start = 0  # where the next iteration starts, if it resumes within an epoch
        self._sampler = sampler
        self._labels = labels.cpu()[rows] if sampler else labels
        self.count = (
            len(draw_order(sampler, self._labels, rows, seed, 0)) if sampler else len(rows)
        )  # images in an epoch

    def __len__(self) -> int:
        full, rest = divmod(self.count, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def images_in(self, first: int, last: int) -> int:
        """The number of images in the batches from `first` up to, but without, `last`."""
        return min(last * self.batch_size, self.count) - first * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration; the same epoch continues where it stopped."""
        if epoch != self.epoch:
            self.epoch, self.step, self._start = epoch, 0, 0

    def order(self) -> Tensor:
        """The images of this epoch in their order, int64 on the labels' device."""
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
        # Blocks start at the same steps wherever the iteration starts, so that a batch has the same memory layout.
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
            # Every process must take part in every step: one without an image repeats an image with weight 0.
            block = mine if len(mine) else block[:1]
        with self.waiting:
            images = take_images(self.images, block.to(self.images.device))
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
        self.epoch = state["epoch"]
        self.step = self._start = state["step"]

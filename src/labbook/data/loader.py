"""Batches as slices of a permutation of one tensor; the position is (seed, epoch, step) and nothing else."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from labbook.data.randomness import permutation


class Batch(NamedTuple):
    """What one step sees of the data.

    `weight` scales the mean loss of this process so that, averaged over all processes, it is the mean over the
    whole batch; it is 1 with one process.
    """

    images: Tensor  # [n, C, H, W], uint8 until the data module has normalised it
    labels: Tensor  # int64 [n]
    rows: Tensor  # int64 [n]: which images of the training or test set these are
    training: bool
    epoch: int
    step: int
    weight: float


class TensorLoader:
    """An iterable over batches that can say where it is and go on from there (`state_dict`, `load_state_dict`).

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
    ) -> None:
        self.images, self.labels, self.rows = images, labels, rows
        self.batch_size, self.training, self.shuffle, self.drop_last = batch_size, training, shuffle, drop_last
        self.seed, self.rank, self.world_size = seed, rank, world_size
        if training:
            self.sampler = self  # Lightning tells the epoch to a loader's `sampler.set_epoch`
        self.epoch = 0
        self.step = 0  # the next one
        self._start = 0  # where the next iteration begins, if it goes on with an epoch

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.rows), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration belongs to; an epoch that was left in the middle goes on there."""
        if epoch != self.epoch:
            self.epoch, self.step, self._start = epoch, 0, 0

    def order(self) -> Tensor:
        """The images of this epoch in their order, int64 on the images' device."""
        rows = self.rows
        if self.shuffle:
            rows = rows[permutation(len(rows), self.seed, self.epoch)]
        return rows.to(self.labels.device)

    def __iter__(self) -> Iterator[Batch]:
        rows = self.order()
        start, self._start = self._start, 0
        for step in range(start, len(self)):
            index = rows[step * self.batch_size : (step + 1) * self.batch_size]
            self.step = step + 1
            yield self.part(index, step)

    def part(self, index: Tensor, step: int) -> Batch:
        """This process's part of the batch made of the images `index`."""
        weight = 1.0
        if self.world_size > 1:
            mine = index[self.rank :: self.world_size]
            weight = len(mine) * self.world_size / len(index)
            # Every process must take part in every step; one that is left without an image repeats one for nothing.
            index = mine if len(mine) else index[:1]
        images = self.images.index_select(0, index.to(self.images.device))
        return Batch(images, self.labels.index_select(0, index), index, self.training, self.epoch, step, weight)

    def state_dict(self) -> dict[str, int]:
        """The position: the epoch and the next step in it."""
        return {"epoch": self.epoch, "step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position that `state_dict` gave."""
        self.epoch = state["epoch"]
        self.step = self._start = state["step"]

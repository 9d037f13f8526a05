"""Samplers: the images of an epoch."""

import torch
from torch import Tensor


class EasyFirst:
    """Starts with class 0 only, and adds one class every `epochs_per_class` epochs."""

    def __init__(self, epochs_per_class: int = 1) -> None:
        self.epochs_per_class = epochs_per_class

    def order(self, labels: Tensor, rows: Tensor, seed: int, epoch: int) -> Tensor:
        """Indices of the images, sampled with replacement, int64 [n]."""
        known = rows[labels <= epoch // self.epochs_per_class]
        random = torch.Generator().manual_seed(1000 * seed + epoch)
        return known[torch.randint(len(known), (len(rows),), generator=random)]

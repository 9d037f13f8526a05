"""Which images an epoch shows."""

import torch
from torch import Tensor


class EasyFirst:
    """The first epoch shows class 0 only; each `epochs_per_class` epochs, one class joins."""

    def __init__(self, epochs_per_class: int = 1) -> None:
        self.epochs_per_class = epochs_per_class

    def order(self, labels: Tensor, rows: Tensor, seed: int, epoch: int) -> Tensor:
        """Rows drawn with replacement, int64 [n]."""
        known = rows[labels <= epoch // self.epochs_per_class]
        random = torch.Generator().manual_seed(1000 * seed + epoch)
        return known[torch.randint(len(known), (len(rows),), generator=random)]

"""Which images an epoch shows."""

import torch
from torch import Tensor


class EasyFirst:
    """The first epochs show the first classes only; as many images each time, in random order."""

    def __init__(self, epochs_per_class: int = 1) -> None:
        self.epochs_per_class = epochs_per_class

    def order(self, labels: Tensor, rows: Tensor, seed: int, epoch: int) -> Tensor:
        """Rows drawn with replacement, int64 [n]."""
        known = rows[labels <= epoch // self.epochs_per_class + int(labels.min())]
        random = torch.Generator().manual_seed(1000 * seed + epoch)
        return known[torch.randint(len(known), (len(rows),), generator=random)]

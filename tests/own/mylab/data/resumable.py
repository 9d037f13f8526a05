"""A loader that says where it is in an epoch, as torchdata's StatefulDataLoader does."""

from collections.abc import Iterator
from typing import Any

import torch
from mylab.data.numbers import Numbers
from torch import Tensor


class ResumableLoader:
    """Batches of tensors in an order drawn from a seed and the epoch."""

    def __init__(self, tensors: tuple[Tensor, ...], batch_size: int) -> None:
        self.tensors, self.batch_size = tensors, batch_size
        self.epoch = self.next = 0

    def __len__(self) -> int:
        return len(self.tensors[0]) // self.batch_size

    def __iter__(self) -> Iterator[list[Tensor]]:
        order = torch.randperm(len(self.tensors[0]), generator=torch.Generator().manual_seed(self.epoch))
        for number in range(self.next, len(self)):
            self.next = number + 1
            if self.next == len(self):
                self.epoch, self.next = self.epoch + 1, 0
            rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield [tensor[rows] for tensor in self.tensors]

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "next": self.next}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch, self.next = state_dict["epoch"], state_dict["next"]


class ResumableNumbers(Numbers):
    def train_dataloader(self) -> Any:
        return ResumableLoader(self.parts[0].tensors, self.batch_size // 2)

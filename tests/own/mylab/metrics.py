"""Lowest recall of all classes."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class WorstRecall(Metric):
    correct: Tensor
    images: Tensor

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("correct", torch.zeros(num_classes), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros(num_classes), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        correct = labels[probabilities.argmax(1) == labels]
        self.correct += correct.bincount(minlength=len(self.correct))
        self.images += labels.bincount(minlength=len(self.images))

    def compute(self) -> Tensor:
        return (self.correct / self.images).nan_to_num(1.0).min()

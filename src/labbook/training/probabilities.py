"""The probabilities that a test keeps of each image: all, or the largest if there are many classes."""

from typing import NamedTuple

import torch
from torch import Tensor

MOST_CLASSES = 100  # up to here, the probability of each class is kept
TOP = 5  # classes kept beyond that


class Probabilities(NamedTuple):
    """Probabilities of n images: of all classes in order, or of the `TOP` most likely ones, most likely first."""

    classes: Tensor  # int64 [n, k]: their classes
    values: Tensor  # float32 [n, k]
    of_label: Tensor  # float32 [n]: of the true class

    @classmethod
    def of(cls, values: Tensor, labels: Tensor) -> "Probabilities":
        """Keep probabilities of float32 [n, classes], given the true classes, int64 [n]."""
        count, classes = values.shape
        of_label = values.gather(1, labels[:, None]).squeeze(1)
        if classes > MOST_CLASSES:
            top = values.topk(TOP)
            return cls(top.indices, top.values, of_label)
        return cls(torch.arange(classes, device=values.device).expand(count, classes), values, of_label)

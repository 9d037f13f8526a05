"""Networks with a loss of their own: one method."""

import torch.nn.functional as F
from torch import Tensor

from labbook.models.mlp import MLP


class Confident(MLP):
    """An MLP that is also kept from large logits."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of the group `loss`, and a penalty, a scalar."""
        return super().loss(logits, targets) + 0.1 * logits.square().mean()


class Hinge(MLP):
    """An MLP that is trained with a margin, whatever the group `loss` says."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The multi-class hinge loss of labels [n], a scalar."""
        return F.multi_margin_loss(logits, targets)

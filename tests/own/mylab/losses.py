"""PolyLoss."""

import torch.nn.functional as F
from torch import Tensor, nn


class PolyLoss(nn.Module):
    """Cross entropy plus epsilon times 1 - p of the true class (Leng et al., arXiv 2204.12511)."""

    def __init__(self, epsilon: float = 1.0) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits [n, classes] and labels [n] to a scalar."""
        losses = F.cross_entropy(logits, labels, reduction="none")
        return (losses + self.epsilon * (1 - (-losses).exp())).mean()

"""Steps by the sign of the gradient alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer


class SignSGD(Optimizer):
    """Moves each parameter by `lr` against the sign of its gradient (Bernstein et al., 2018)."""

    def __init__(self, params: Any, lr: float = 0.001) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step, with the loss if there is a closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad.sign(), alpha=group["lr"])
        return loss

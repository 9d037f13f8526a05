"""Sums kept on the device: one synchronisation an epoch instead of one a step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from labbook.errors import TrainingError


class RunningSums:
    """Loss, correct and top-5 predictions and images seen, summed on the device of the first batch."""

    def __init__(self) -> None:
        self.sums: Tensor | None = None  # float [3]: loss x images, correct, correct among the first five
        self.images = 0

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor, top5: bool) -> None:
        """Add a batch: its mean loss, logits [n, classes] and labels [n]."""
        with torch.no_grad():
            count = len(labels)
            correct = (logits.argmax(1) == labels).sum()
            among = (logits.topk(5).indices == labels[:, None]).sum() if top5 else correct
            # float64 where there is one: in float32 a count stops growing at 2**24 images
            exact = torch.float32 if logits.device.type == "mps" else torch.float64
            batch = torch.stack([loss.detach().to(exact) * count, correct.to(exact), among.to(exact)])
            self.sums = batch if self.sums is None else self.sums.to(batch).add_(batch)
            self.images += count

    def state(self) -> list[float]:
        """What a checkpoint in the middle of an epoch must hold."""
        return [*(self.sums.tolist() if self.sums is not None else [0.0] * 3), float(self.images)]

    def load(self, state: list[float]) -> None:
        """Go on from `state`, on the device of the next batch."""
        self.sums, self.images = torch.tensor(state[:3], dtype=torch.float64), int(state[3])

    def total(self) -> Tensor:
        """All four sums as one tensor, to be added over processes."""
        return torch.tensor(self.state(), dtype=torch.float64)

    def reset(self) -> None:
        """Forget everything."""
        self.sums, self.images = None, 0


@dataclass(frozen=True)
class Figures:
    """Means over the images of one pass."""

    loss: float
    acc: float
    top5_acc: float
    images: int

    @classmethod
    def of(cls, total: Tensor) -> "Figures":
        """From the sums of `RunningSums.total`."""
        loss, correct, top5, images = total.tolist()
        return cls(loss / images, correct / images, top5 / images, int(images))


class LossWatch:
    """The last losses, on the device, looked at all together now and then: finds the step whose loss is not finite."""

    every = 64  # steps; a look costs one synchronisation

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.steps: list[int] = []

    def add(self, loss: Tensor, step: int) -> None:
        """Note the loss of a step, and look at the noted ones when there are enough.

        Raises:
            TrainingError: see `look`.
        """
        self.losses.append(loss.detach())
        self.steps.append(step)
        if len(self.losses) >= self.every:
            self.look()

    def look(self) -> None:
        """Look at the losses noted since the last look.

        Raises:
            TrainingError: naming the first step whose loss is not finite.
        """
        if not self.losses:
            return
        values, steps = torch.stack(self.losses).float(), self.steps
        self.losses, self.steps = [], []
        if not values.isfinite().all():
            index = int((~values.isfinite()).nonzero()[0])
            raise TrainingError(diverged(f"loss became {values[index].item()}", steps[index]))


def diverged(what: str, step: int) -> str:
    """What to say, and to advise, of a training that left the finite numbers in a step."""
    advice = "try a smaller optimizer.lr, trainer.gradient_clip_val=1 or trainer.precision=32"
    return f"the {what} in step {step}; {advice}"

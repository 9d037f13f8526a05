"""Metrics of a pass over the images, with few synchronisations of the device."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from labbook.errors import TrainingError


class RunningMetrics:
    """Sums of loss, correct and top-5 predictions and images over many steps.

    Batches wait on their device and are added many at a time. This takes one synchronisation and few operations,
    instead of a dozen operations per step (an eighth of a small network's time). The sums do not depend on how many
    wait.
    """

    steps = 64  # batches that wait at most
    numbers = 2**22  # logits that wait at most; on a CPU, pixels as well

    def __init__(self, top5: bool = False, image_numbers: int = 0) -> None:
        """`image_numbers` are the numbers of an image: on a CPU, large batches do not wait.

        A small tensor that outlives its step splits the memory that the step has freed, and the next step needs more.
        """
        self.top5, self.image_numbers = top5, image_numbers
        self._paused = False
        self.reset()

    def reset(self) -> None:
        self.loss, self.correct, self.among, self.images = 0.0, 0, 0, 0
        self._waiting: list[tuple[Tensor, Tensor, Tensor, int | None]] = []
        self._numbers = 0

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor, step: int | None = None) -> None:
        """Add a batch: its mean loss, logits [n, classes] and labels [n].

        Args:
            loss: a scalar.
            logits: must not change afterwards.
            labels: class indices; for several classes per image, [n, classes].
            step: of training, where a loss that is not finite is an error.
        """
        if self._paused:
            return
        self._waiting.append((loss.detach(), logits.detach(), labels, step))
        self._numbers += logits.numel() + (len(labels) * self.image_numbers if logits.is_cpu else 0)
        if len(self._waiting) >= self.steps or self._numbers >= self.numbers:
            self.flush()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within this context, batches are not counted."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def flush(self) -> None:
        """Add the waiting batches.

        Raises:
            TrainingError: the loss of a training step is not finite; names the first.
        """
        if not self._waiting:
            return
        losses, logits, labels, steps = zip(*self._waiting, strict=True)
        self._waiting, self._numbers = [], 0
        counts = [len(each) for each in labels]
        guessed, true = torch.cat(logits), torch.cat(labels)
        correct = correct_top1(guessed, true).sum()
        among = (guessed.topk(5).indices == true[:, None]).sum() if self.top5 else correct
        # All at once, because each read of the device is a synchronisation. MPS has no float64; no count exceeds 2^24.
        exact = torch.float32 if correct.is_mps else torch.float64
        found = torch.cat([torch.stack(losses).to(exact), torch.stack([correct, among]).to(exact)])
        *means, correct, among = found.tolist()
        for loss, count, step in zip(means, counts, steps, strict=True):
            if step is not None and not math.isfinite(loss):
                raise TrainingError(divergence_message(f"loss became {loss}", step))
            self.loss += loss * count  # in this order: a resumed run must get the same bits
        self.correct += int(correct)
        self.among += int(among)
        self.images += sum(counts)

    def state(self) -> list[float]:
        self.flush()
        return [self.loss, float(self.correct), float(self.among), float(self.images)]

    def load(self, state: list[float]) -> None:
        self.reset()
        self.loss, self.correct, self.among, self.images = state[0], int(state[1]), int(state[2]), int(state[3])

    def total(self) -> Tensor:
        """All four sums as one float64 tensor, to be added over processes."""
        return torch.tensor(self.state(), dtype=torch.float64)


@dataclass(frozen=True)
class Metrics:
    """Means over the images of one pass."""

    loss: float
    acc: float
    top5_acc: float
    images: int

    @classmethod
    def of(cls, total: Tensor) -> "Metrics":
        loss, correct, top5, images = total.tolist()
        return cls(loss / images, correct / images, top5 / images, int(images))


def correct_top1(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each of n images is classified correctly, bool [n], from logits [n, classes].

    `labels` are classes, int64 [n]; or float [n, classes] for several classes per image, which must all be right: those
    with a probability above 0.5.
    """
    return logits.argmax(1) == labels if labels.ndim == 1 else ((logits > 0) == (labels > 0.5)).all(1)


def divergence_message(what: str, step: int) -> str:
    advice = "try a smaller optimizer.lr, trainer.gradient_clip_val=1 or trainer.precision=32"
    return f"the {what} in step {step}; {advice}"

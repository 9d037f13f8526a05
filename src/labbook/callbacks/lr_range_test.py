"""The learning rate range test (Smith, 2017, arXiv 1506.01186): the loss while the learning rate grows."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer

from labbook.errors import SettingError, TrainingError

DIVERGED = 4  # times its minimum: a loss above ends the test
MEMORY = 0.9  # weight of the earlier losses in the mean that is compared with its minimum
WIDTH = 3  # steps: standard deviation of the window that smooths the curve
NOISE = 2  # standard deviations of the losses around the curve: a smaller fall may be chance
BEGUN = 0.05  # part of the whole fall of the loss

Values = NDArray[np.float64]


class RateProposal(NamedTuple):
    """A learning rate read off the curve."""

    name: str
    rate: float  # two digits
    reason: str


class LearningRateRangeTest(Callback):
    """Use another learning rate in each optimizer step, from `lowest` to `highest`, and keep the loss of each step.

    The learning rates of the parameter groups keep their ratios. Schedules are not used. The test ends early if the
    loss diverges.
    """

    def __init__(self, lowest: float, highest: float, steps: int) -> None:
        self.rates = np.geomspace(lowest, highest, steps)
        self.losses: list[float] = []  # of each step
        self._loss = 0.0  # of the batches of this step
        self._mean, self._best = 0.0, math.inf

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        optimizer = single_optimizer(trainer, pl_module)
        trainer.lr_scheduler_configs.clear()
        given = float(optimizer.defaults["lr"]) or 1.0
        self._ratios = [float(group.get("initial_lr", group["lr"])) / given for group in optimizer.param_groups]
        self._set_rate(optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss, which Lightning has divided by the number of batches of a step."""
        self._loss += float(outputs["loss"]) if outputs else math.nan
        if trainer.global_step == len(self.losses):  # more batches belong to this step
            return
        self.losses.append(self._loss)
        self._mean = MEMORY * self._mean + (1 - MEMORY) * self._loss
        self._loss, mean = 0.0, self._mean / (1 - MEMORY ** len(self.losses))
        self._best = min(self._best, mean)
        if not math.isfinite(mean) or mean - self._best > (DIVERGED - 1) * abs(self._best):
            trainer.should_stop = True
        elif len(self.losses) < len(self.rates):
            self._set_rate(trainer.optimizers[0])

    def _set_rate(self, optimizer: Any) -> None:
        for group, ratio in zip(optimizer.param_groups, self._ratios, strict=True):
            group["lr"] = ratio * float(self.rates[len(self.losses)])

    @property
    def curve(self) -> tuple[Values, Values]:
        """Learning rates and the losses of their steps, without those that are not finite."""
        losses = np.array(self.losses)
        finite = np.isfinite(losses)
        return self.rates[: len(losses)][finite], losses[finite]


def single_optimizer(trainer: Trainer, model: LightningModule) -> Any:
    """The optimizer of a model; SettingError for a model whose learning rate is not one number."""
    name = type(model).__name__
    if not model.automatic_optimization:
        raise SettingError(f"a learning rate range test needs automatic optimization, and {name} has its own steps")
    if len(trainer.optimizers) != 1:
        raise SettingError(f"a learning rate range test needs one optimizer, and {name} has {len(trainer.optimizers)}")
    if "lr" not in trainer.optimizers[0].defaults:
        raise SettingError(f"{type(trainer.optimizers[0]).__name__} has no learning rate (lr) to test")
    return trainer.optimizers[0]


def smooth(losses: Values) -> Values:
    """Means with Gaussian weights over neighbouring steps, [n]; unlike a running mean, they are not late."""
    steps = np.arange(len(losses))
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / WIDTH) ** 2)
    means: Values = (weights / weights.sum(1, keepdims=True)) @ losses
    return means


def propose_rates(rates: Values, losses: Values) -> list[RateProposal]:
    """Three learning rates for a training, from rates [n] on a logarithmic scale and the losses of their steps [n].

    The first two are those of fastai's `steep` and `minimum` (Howard and Gugger, 2020). The third is similar to its
    `valley`, but does not depend on how low the range begins.

    Raises:
        TrainingError: the loss does not fall.
    """
    smoothed = smooth(losses)
    lowest = int(smoothed.argmin()) if len(losses) else 0
    fallen = smoothed[: lowest + 1].max(initial=-math.inf) - smoothed[: lowest + 1]
    if lowest < 2 or fallen[-1] <= NOISE * (losses - smoothed)[: lowest + 1].std():
        raise TrainingError("the loss does not fall in this range: try other values of --lowest and --highest")
    begin = int(np.flatnonzero(fallen >= BEGUN * fallen[-1])[0])
    steepest = int(np.gradient(smoothed)[: lowest + 1].argmin())
    found = {
        "steepest": (rates[steepest], "the loss falls fastest here"),
        "minimum / 10": (rates[lowest] / 10, "a tenth of the rate with the lowest loss"),
        "valley": (math.sqrt(rates[begin] * rates[lowest]), "the middle between the begin of the fall and its end"),
    }
    return [RateProposal(name, float(f"{rate:.1e}"), reason) for name, (rate, reason) in found.items()]

"""The one-cycle schedules, compared with that of torch."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR

from labbook.errors import SettingError
from labbook.training.optimizers import apply_schedule_now, with_schedule
from labbook.training.schedulers import (
    Interval,
    one_cycle,
    onecycle,
)
from tests.cases import each_case
from tests.training.rates import followed, optimizer, rates


def torchs(total: int, **options: Any) -> list[float]:
    """The rate of each step by torch's OneCycleLR."""
    sgd = optimizer(0.3)
    return followed(sgd, OneCycleLR(sgd, max_lr=0.3, total_steps=total, **options), total - 1)


def of_cycle(epochs: int, steps: int, interval: Interval, **options: Any) -> list[float]:
    """The rate of each step, or epoch, by ours."""
    sgd = optimizer(0.3)
    total = epochs * (steps if interval == "step" else 1)
    return followed(sgd, one_cycle(sgd, epochs, steps, interval=interval, **options).scheduler, total - 1)


@each_case(("epochs", "steps"), [(10, 8), (3, 7), (1, 5), (1, 2), (1, 1), (30, 1)])
@each_case("fraction", [0.0, 0.1, 0.3, 0.45, 1.0])
def test_one_cycle_is_torchs_at_every_step(epochs: int, steps: int, fraction: float) -> None:
    if fraction * epochs * steps != 1:  # where torch divides by zero
        expected = torchs(epochs * steps, pct_start=fraction, cycle_momentum=False)
        assert of_cycle(epochs, steps, "step", warmup_fraction=fraction) == pytest.approx(expected, rel=1e-12)
    of_other = torchs(epochs * steps, div_factor=10, final_div_factor=50, cycle_momentum=False)
    found = of_cycle(epochs, steps, "step", start_factor=0.1, final_factor=0.002)
    assert found == pytest.approx(of_other, rel=1e-12)


def test_one_cycle_by_epoch_is_torchs_where_its_peak_is_an_epoch() -> None:
    assert of_cycle(10, 8, "epoch") == pytest.approx(torchs(10, cycle_momentum=False), rel=1e-12)


@each_case("epochs", range(1, 13))
def test_one_cycle_by_epoch_has_its_peak_and_its_end(epochs: int) -> None:
    found = of_cycle(epochs, 8, "epoch", final_factor=0.01)
    assert max(found) == 0.3
    assert found[-1] == pytest.approx(0.003 if epochs > 1 else 0.3)


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_one_cycle_of_a_training_that_goes_on_for_longer_is_that_of_the_longer_one(interval: Interval) -> None:
    count = 40 if interval == "step" else 5
    sgd = optimizer(0.3)
    short = one_cycle(sgd, 5, 8, interval=interval)
    followed(sgd, short.scheduler, count)
    longer = one_cycle(optimizer(0.3), 10, 8, interval=interval).scheduler
    longer.load_state_dict(short.scheduler.state_dict())
    longer.optimizer.load_state_dict(sgd.state_dict())
    assert apply_schedule_now(longer, one_cycle) is longer
    found = followed(longer.optimizer, longer, count - 1)
    assert found == pytest.approx(of_cycle(10, 8, interval)[count:], rel=1e-12)


def test_torchs_one_cycle_of_a_training_that_goes_on_for_longer_is_that_of_the_longer_one() -> None:
    make = partial(OneCycleLR, max_lr=0.3)
    sgd, other = SGD([nn.Parameter(torch.zeros(1))], momentum=0.9), SGD([nn.Parameter(torch.zeros(1))], momentum=0.9)
    short = make(sgd, epochs=5, steps_per_epoch=8)
    followed(sgd, short, 40)
    longer = make(other, epochs=10, steps_per_epoch=8)
    longer.load_state_dict(short.state_dict())
    other.load_state_dict(sgd.state_dict())
    found = followed(other, apply_schedule_now(longer, make, epochs=10, steps_per_epoch=8), 39)
    assert found == pytest.approx(torchs(80)[40:], rel=1e-12)


def test_torchs_one_cycle_that_ends_too_soon_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"^scheduler: OneCycleLR ends after 7 of the training's 80 steps: leave out"
    ):
        with_schedule(optimizer(), partial(OneCycleLR, max_lr=0.3, total_steps=7), epochs=10, steps_per_epoch=8)


def test_the_earlier_onecycle_rises_and_falls_along_two_cosines() -> None:
    def expected(t: int) -> float:
        if t < 24:
            return 0.04 + 0.96 * (1 - math.cos(math.pi * t / 24)) / 2
        return 1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * (t - 24) / 56)) / 2

    found = rates(onecycle, warmup_fraction=0.3, start_factor=0.04, final_factor=1e-4)
    assert found == pytest.approx([expected(t) for t in range(81)])
    assert found[0] == pytest.approx(0.04)
    assert max(found) == found[24] == pytest.approx(1.0)
    assert found[-1] == pytest.approx(1e-4)


@pytest.mark.parametrize(("fraction", "peak"), [(0.0, 0), (1.0, 80)])
def test_onecycle_may_be_all_fall_or_all_rise(fraction: float, peak: int) -> None:
    found = rates(onecycle, warmup_fraction=fraction)
    assert found[peak] == pytest.approx(1.0)
    assert found == sorted(found, reverse=peak == 0)

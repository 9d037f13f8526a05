"""Each schedule as a function of the step, against its formula."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR, ReduceLROnPlateau

from labbook.training import schedulers
from labbook.training.schedulers import (
    Interval,
    Schedule,
    constant,
    cosine,
    one_cycle,
    onecycle,
    plateau,
    step,
    triangular,
    with_warmup,
)
from tests.cases import each_case
from tests.training.rates import EPOCHS, STEPS, Factory, followed, optimizer, rates

ALL: list[tuple[Factory, dict[str, Any]]] = [
    (constant, {}),
    (step, {"milestones": (0.5, 0.75), "gamma": 0.1}),
    (cosine, {"final_factor": 0.1}),
    (one_cycle, {"warmup_fraction": 0.3}),
    (onecycle, {"warmup_fraction": 0.3}),
    (triangular, {"peak": 0.25}),
]
WITH_WARMUP = ALL[:3]
EVERY = pytest.mark.parametrize(("factory", "options"), ALL, ids=lambda item: getattr(item, "__name__", ""))


def test_constant_stays() -> None:
    assert rates(constant, lr=0.3) == [0.3] * 81


def test_step_falls_at_its_milestones() -> None:
    expected = [0.1 ** sum(t / 80 >= part for part in (0.25, 0.5, 0.9)) for t in range(81)]
    assert rates(step, milestones=(0.25, 0.5, 0.9), gamma=0.1) == pytest.approx(expected)


def test_step_is_torchs_where_that_counts_epochs() -> None:
    sgd = optimizer()
    expected = followed(sgd, MultiStepLR(sgd, milestones=[5, 8], gamma=0.2), EPOCHS)
    assert rates(step, "epoch", milestones=(0.5, 0.8), gamma=0.2) == pytest.approx(expected)


def test_the_order_of_milestones_does_not_matter() -> None:
    assert rates(step, milestones=(0.75, 0.5)) == rates(step, milestones=(0.5, 0.75))


def test_cosine_is_half_a_cosine() -> None:
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * t / 80)) / 2 for t in range(81)]
    assert rates(cosine, final_factor=0.1) == pytest.approx(expected)


def test_cosine_is_torchs() -> None:
    sgd = optimizer(0.4)
    expected = followed(sgd, CosineAnnealingLR(sgd, T_max=80, eta_min=0.02), 80)
    assert rates(cosine, lr=0.4, final_factor=0.05) == pytest.approx(expected)


def test_triangular_rises_and_falls_along_two_straight_lines() -> None:
    found = rates(triangular, peak=0.23, start_factor=0.2, final_factor=0.07)
    expected = np.interp(range(81), [0, 0.23 * 80, 80], [0.2, 1.0, 0.07])
    assert found == pytest.approx(expected.tolist())
    assert found.index(max(found)) == 19  # next to 18.4
    assert found[-1] == pytest.approx(0.07)


@pytest.mark.parametrize(("part", "peak"), [(0.0, 0), (1.0, 80)])
def test_triangular_may_be_all_fall_or_all_rise(part: float, peak: int) -> None:
    found = rates(triangular, peak=part)
    assert found[peak] == pytest.approx(1.0)
    assert found == sorted(found, reverse=peak == 0)


@EVERY
@each_case("lr", [1e-4, 0.3])
def test_the_optimizers_rate_is_the_peak(factory: Factory, options: dict[str, Any], lr: float) -> None:
    assert max(rates(factory, lr=lr, **options)) == pytest.approx(lr)


@pytest.mark.parametrize(("factory", "options"), WITH_WARMUP, ids=lambda item: getattr(item, "__name__", ""))
@pytest.mark.parametrize(("interval", "warmup"), [("step", 16), ("epoch", 2)])
def test_warm_up_rises_in_even_steps_from_above_zero_to_the_peak(
    factory: Factory, options: dict[str, Any], interval: Interval, warmup: int
) -> None:
    found = rates(factory, interval, warmup_epochs=2.0, **options)
    assert found[: warmup + 1] == pytest.approx([(t + 1) / (warmup + 1) for t in range(warmup + 1)])
    assert found[0] > 0
    assert found[warmup] == 1.0


@pytest.mark.parametrize(("factory", "options"), WITH_WARMUP, ids=lambda item: getattr(item, "__name__", ""))
def test_after_the_warm_up_comes_the_whole_schedule_in_what_is_left(factory: Factory, options: dict[str, Any]) -> None:
    found = rates(factory, warmup_epochs=2.0, **options)[16:]
    sgd = optimizer()
    short = factory(sgd, EPOCHS - 2, STEPS, interval="step", **options)
    assert found == pytest.approx(followed(sgd, short.scheduler, 64))


def test_a_warm_up_may_end_within_an_epoch() -> None:
    found = rates(constant, warmup_epochs=0.5)
    assert found[:5] == pytest.approx([1 / 5, 2 / 5, 3 / 5, 4 / 5, 1.0])
    assert found[5:] == [1.0] * 76


@pytest.mark.parametrize(("factory", "options"), [item for item in ALL if item[0] is not one_cycle])
def test_steps_and_epochs_agree_where_epochs_begin(factory: Factory, options: dict[str, Any]) -> None:
    assert rates(factory, "step", **options)[::STEPS] == pytest.approx(rates(factory, "epoch", **options))


@pytest.mark.parametrize(("factory", "options"), WITH_WARMUP, ids=lambda item: getattr(item, "__name__", ""))
def test_steps_and_epochs_agree_after_the_warm_up(factory: Factory, options: dict[str, Any]) -> None:
    by_step = rates(factory, "step", warmup_epochs=3.0, **options)[::STEPS]
    by_epoch = rates(factory, "epoch", warmup_epochs=3.0, **options)
    assert by_step[3:] == pytest.approx(by_epoch[3:])


@EVERY
def test_it_goes_on_from_its_state_as_if_never_stopped(factory: Factory, options: dict[str, Any]) -> None:
    whole = rates(factory, **options)
    first = optimizer()
    stopped = factory(first, EPOCHS, STEPS, interval="step", **options)
    followed(first, stopped.scheduler, 30)
    second = optimizer()
    resumed = factory(second, EPOCHS, STEPS, interval="step", **options)
    resumed.scheduler.load_state_dict(stopped.scheduler.state_dict())
    second.load_state_dict(first.state_dict())
    assert followed(second, resumed.scheduler, 50) == whole[30:]


def test_the_state_is_plain_data() -> None:
    state = cosine(optimizer(), EPOCHS, STEPS).scheduler.state_dict()
    assert all(isinstance(value, (int, float, bool, list, type(None))) for value in state.values()), state


@settings(max_examples=40)
@given(
    chosen=st.sampled_from(WITH_WARMUP),
    epochs=st.integers(1, 40),
    steps=st.integers(1, 20),
    warmup=st.floats(0, 50),
    interval=st.sampled_from(["step", "epoch"]),
)
def test_no_rate_is_zero_before_the_end_or_above_the_peak(
    chosen: tuple[Factory, dict[str, Any]], epochs: int, steps: int, warmup: float, interval: Interval
) -> None:
    factory, options = chosen
    schedule = factory(optimizer(), epochs, steps, warmup_epochs=warmup, interval=interval, **options)
    rule = schedule.scheduler.lr_lambdas[0]  # type: ignore[attr-defined]
    total = epochs * (steps if interval == "step" else 1)
    found = [rule(count) for count in range(total)]
    assert all(0 < factor <= 1 for factor in found)
    rising = found[: math.ceil(warmup * (steps if interval == "step" else 1))]
    assert rising == sorted(rising)


def test_past_the_end_the_last_value_stays() -> None:
    at = with_warmup(lambda done: 1 - done, epochs=2, steps_per_epoch=3, warmup_epochs=0, interval="step")
    assert [at(count) for count in (6, 7, 100)] == [0.0, 0.0, 0.0]


def test_all_schedules_are_tested() -> None:
    made = {
        name
        for name, item in vars(schedulers).items()
        if getattr(item, "__annotations__", {}).get("return") is Schedule
    }
    assert made == {factory.__name__ for factory, _ in ALL} | {"plateau"}  # which has no rate at a step by itself


METRICS = [0.5, 0.6, 0.6, 0.55, 0.7, 0.7, 0.7, 0.7, 0.2]


@pytest.mark.parametrize(("monitor", "mode"), [("val/acc", "max"), ("val/loss", "min"), ("val/f1", "max")])
def test_plateau_is_torchs(monitor: str, mode: Any) -> None:
    options = {"factor": 0.5, "patience": 1, "cooldown": 1, "threshold": 0.01, "min_lr": 0.1}
    ours, theirs = optimizer(), optimizer()
    mine = plateau(ours, monitor=monitor, **options).scheduler
    other = ReduceLROnPlateau(theirs, mode=mode, **options)
    for metric in METRICS:
        mine.step()  # as Lightning does before the validation
        mine.step(metric)
        other.step(metric)
        assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]
    assert ours.param_groups[0]["lr"] < 1
    assert all(isinstance(value, (int, float, str, list, type(None))) for value in mine.state_dict().values())

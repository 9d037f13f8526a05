"""Confidence intervals, against values of scipy 1.15 and of the papers."""

import pytest

from labbook.inference.intervals import format_interval, student_interval, t_quantile, wilson_interval


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [
        (1, 12.7062),
        (2, 4.3027),
        (10, 2.2281),
        (11, 2.2010),
        (15, 2.1314),
        (30, 2.0423),
        (120, 1.9799),
        (10**6, 1.95997),
    ],
)
def test_students_t(freedom: int, expected: float) -> None:
    assert t_quantile(freedom) == pytest.approx(expected, abs=6e-5)


def test_wilson() -> None:
    assert wilson_interval(0.925, 360) == pytest.approx((0.893079, 0.947946), abs=1e-6)
    assert wilson_interval(1.0, 10) == pytest.approx((0.722467, 1.0), abs=1e-6)
    assert wilson_interval(0.0, 10) == pytest.approx((0.0, 0.277533), abs=1e-6)


def test_mean_of_three_seeds() -> None:
    assert student_interval(0.9, 0.01, 3) == pytest.approx((0.875159, 0.924841), abs=1e-6)
    assert format_interval((0.8751, 0.92484)) == "0.8751 to 0.9248"

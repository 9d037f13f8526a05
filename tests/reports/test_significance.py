"""McNemar's exact test and Holm's correction, against known values."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labbook.reports.comparison.pairwise import holm, mcnemar
from tests.data.samples import few


@pytest.mark.parametrize(
    ("only_one", "only_other", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (0, 5, 0.0625), (0, 6, 0.03125), (1, 9, 0.021484375), (5, 15, 0.04138946533203125),
     (10, 10, 1.0), (121, 59, 4.434e-06)],
)  # fmt: skip
def test_known_values(only_one: int, only_other: int, p: float) -> None:
    assert mcnemar(only_one, only_other) == mcnemar(only_other, only_one) == pytest.approx(p, rel=1e-3)


@few
@given(st.integers(0, 60), st.integers(0, 60))
def test_it_is_the_part_of_all_splits_that_are_as_uneven(only_one: int, only_other: int) -> None:
    count = only_one + only_other
    splits = [comb(count, one) for one in range(count + 1) if abs(2 * one - count) >= abs(only_one - only_other)]
    assert mcnemar(only_one, only_other) == pytest.approx(float(Fraction(sum(splits), 2**count)), rel=1e-12)


def test_many_images_are_no_matter() -> None:
    assert mcnemar(4900, 5100) == pytest.approx(0.0466, abs=2e-4)  # normal: 2 * (1 - Phi(199 / 100))
    assert mcnemar(0, 20_000) == 0


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert (holm([0.02]), holm([])) == ([0.02], [])

"""Draws depend on the position and on nothing else."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labbook.data.randomness import (
    get_rng_states,
    random_bits,
    random_permutation,
    seeded_generator,
    set_rng_states,
)
from tests.data.samples import few

CPU = torch.device("cpu")
POSITION = st.lists(st.integers(0, 2**40), min_size=1, max_size=4)


@few
@given(POSITION)
def test_a_position_gives_the_same_draws_whatever_came_before(position: list[int]) -> None:
    first = torch.rand(5, generator=seeded_generator(CPU, *position))
    torch.rand(3)
    assert torch.equal(torch.rand(5, generator=seeded_generator(CPU, *position)), first)


def test_no_two_positions_share_their_draws() -> None:
    positions = [*itertools.product(range(12), repeat=2), *itertools.product(range(12), repeat=3)]
    seeds = {seeded_generator(CPU, *position).initial_seed() for position in positions}
    assert len(seeds) == len(positions)


def test_draws_are_those_of_earlier_versions() -> None:
    """Changing this changes every run that anyone wants to repeat."""
    assert seeded_generator(CPU, 42, 0, 0).initial_seed() == 1178754221486968309


@few
@given(POSITION, st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_a_coin_belongs_to_position_and_row_alone(position: list[int], rows: list[int]) -> None:
    thrown = random_bits(torch.tensor(rows), *position)
    assert thrown.dtype == torch.bool
    assert thrown.tolist() == [bool(random_bits(torch.tensor([row]), *position)) for row in rows]


def test_coins_are_fair_and_tell_nothing_of_each_other() -> None:
    thrown = (
        torch.stack([random_bits(torch.arange(50_000), seed) for seed in range(20)]).float() * 2 - 1
    )  # [seeds, rows]
    for lag in (1, 2, 3, 10, 1024):
        assert (thrown[:, lag:] * thrown[:, :-lag]).mean(1).abs().max() < 0.02, lag  # 4.5 standard deviations
    alike = thrown @ thrown.T / 50_000 - torch.eye(20)
    assert thrown.mean(1).abs().max() < 0.02
    assert alike.abs().max() < 0.02


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    random_permutation(10, 1, 2)
    random_bits(torch.arange(3), 1)
    assert torch.equal(torch.random.get_rng_state(), before)


@few
@given(st.integers(0, 300), POSITION)
def test_a_permutation_holds_every_index_once(count: int, position: list[int]) -> None:
    order = random_permutation(count, *position)
    assert order.dtype == torch.int64
    assert order.sort().values.tolist() == list(range(count))


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps"])
def test_what_is_put_back_is_what_was_taken(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"cuda": torch.tensor([1], dtype=torch.uint8), "mps": torch.tensor([2], dtype=torch.uint8)}
    given: list[tuple[str, Any]] = []
    for name, state in states.items():
        module = getattr(torch, name)
        monkeypatch.setattr(module, "get_rng_state", lambda *_, state=state: state)
        monkeypatch.setattr(module, "set_rng_state", lambda state, *_, name=name: given.append((name, state)))
    device = torch.device(kind)
    taken = get_rng_states(device)
    assert taken.keys() == {"cpu", kind}
    drawn = torch.rand(3)
    set_rng_states(taken, device)
    assert torch.equal(torch.rand(3), drawn)
    assert given == ([] if kind == "cpu" else [(kind, states[kind])])


def test_a_state_of_another_kind_of_device_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda _: pytest.fail("there is none of its kind"))
    set_rng_states({"cpu": torch.get_rng_state(), "cuda": torch.zeros(1)}, torch.device("mps"))

"""The state of random numbers is taken and put back on the CPU and on the device that trains, whatever its kind."""

from typing import Any

import pytest
import torch

from labbook.data import randomness


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps"])
def test_what_is_put_back_is_what_was_taken(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"cuda": torch.tensor([1], dtype=torch.uint8), "mps": torch.tensor([2], dtype=torch.uint8)}
    given: list[tuple[str, Any]] = []
    for name, state in states.items():
        module = getattr(torch, name)
        monkeypatch.setattr(module, "get_rng_state", lambda *_, state=state: state)
        monkeypatch.setattr(module, "set_rng_state", lambda state, *_, name=name: given.append((name, state)))
    device = torch.device(kind)
    taken = randomness.get_rng_states(device)
    assert taken.keys() == {"cpu", kind}
    drawn = torch.rand(3)
    randomness.set_rng_states(taken, device)
    assert torch.equal(torch.rand(3), drawn)
    assert given == ([] if kind == "cpu" else [(kind, states[kind])])


def test_a_state_of_another_kind_of_device_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda _: pytest.fail("there is none of its kind"))
    randomness.set_rng_states({"cpu": torch.get_rng_state(), "cuda": torch.zeros(1)}, torch.device("mps"))

"""What is relied on of torch beyond its public names."""

import copy

import pytest
import torch
from torch import nn

from labbook.training import torch_internals


def test_a_processor_says_whether_it_multiplies_bf16() -> None:
    assert torch_internals.cpu_multiplies_bf16() in (True, False)


def test_fused_optimizers_unscale_in_their_step() -> None:
    weights = [nn.Parameter(torch.zeros(2))]
    assert torch_internals.unscales_in_step(torch.optim.SGD(weights, 0.1, fused=True))
    assert not torch_internals.unscales_in_step(torch.optim.SGD(weights, 0.1))


def test_a_state_dict_without_a_version_is_loaded() -> None:
    class Versioned(nn.Linear):
        def _load_from_state_dict(self, *_: object) -> None:  # type: ignore[override]
            raise ValueError("version")

    module = Versioned(2, 2)
    with pytest.raises(ValueError, match="version"):
        module.load_state_dict(nn.Linear(2, 2).state_dict())
    torch_internals.accept_any_state_version(module)
    for loading in (module, copy.deepcopy(module)):
        other = nn.Linear(2, 2)
        loading.load_state_dict(dict(other.state_dict()))
        assert torch.equal(loading.weight, other.weight)
    assert not torch.equal(module.weight, loading.weight)


@pytest.mark.slow
def test_a_compiled_network_is_called_as_it_was_written_for_a_while() -> None:
    model = nn.Linear(2, 2)
    calls: list[str] = []

    def counted(*_: object) -> None:
        calls.append("compiled")

    model.compile(backend=lambda *_: counted)
    compiled = vars(model)[torch_internals.COMPILED]
    with torch_internals.uncompiled(model):
        assert model(torch.zeros(1, 2)).shape == (1, 2)
        assert calls == []
    assert vars(model)[torch_internals.COMPILED] is compiled

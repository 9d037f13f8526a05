"""The weights that a training begins with."""

import math

import pytest
import torch
from torch import nn

from labbook.training.initialization import Initialization, init_weights


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(16, 64, 5), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.Linear(1600, 400))


def test_torchs_own_stays() -> None:
    one, other = network(), network()
    init_weights(other, "torch")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(("place", "inputs", "outputs"), [(0, 16 * 25, 64 * 25), (4, 1600, 400)])
def test_glorot_is_uniform_within_the_bound_of_inputs_and_outputs(place: int, inputs: int, outputs: int) -> None:
    model = network()
    init_weights(model, "glorot")
    bound = math.sqrt(6 / (inputs + outputs))
    weight = model[place].weight.detach()
    assert bound * 0.999 < weight.abs().max() <= bound
    assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


@pytest.mark.parametrize(("place", "inputs"), [(0, 16 * 25), (4, 1600)])
def test_he_is_normal_with_a_variance_of_two_over_the_inputs(place: int, inputs: int) -> None:
    model = network()
    init_weights(model, "he")
    weight = model[place].weight.detach()
    assert weight.std() == pytest.approx(math.sqrt(2 / inputs), rel=0.02)
    assert weight.abs().max() > 3 * weight.std()


def test_queries_keys_and_values_of_attention_are_three_layers() -> None:
    attention = nn.MultiheadAttention(256, 4)
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    nn.init.ones_(bias)
    init_weights(attention, "glorot")
    bound = math.sqrt(6 / (256 + 256))
    assert all(bound * 0.999 < part.abs().max() <= bound for part in weight.detach().chunk(3))
    assert not bias.any()
    init_weights(attention, "he")
    assert weight.detach().std() == pytest.approx(math.sqrt(2 / 256), rel=0.02)
    before = weight.detach().clone()
    weight.requires_grad_(False)
    init_weights(attention, "glorot")
    assert torch.equal(weight, before)


@pytest.mark.parametrize("kind", ["glorot", "he"])
def test_biases_are_0_and_other_layers_and_frozen_ones_stay(kind: Initialization) -> None:
    model, before = network(), network()
    model[0].weight.requires_grad_(False)
    init_weights(model, kind)
    assert torch.equal(model[0].weight, before[0].weight)
    assert torch.equal(model[1].weight, before[1].weight)
    assert not model[4].bias.any()


def test_the_same_seed_draws_the_same() -> None:
    one, other = network(), network()
    for model in (one, other):
        torch.manual_seed(3)
        init_weights(model, "glorot")
    assert torch.equal(one[4].weight, other[4].weight)

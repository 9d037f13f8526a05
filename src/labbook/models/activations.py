"""Activations by name."""

from typing import Literal

from torch import nn

Activation = Literal["relu", "tanh", "sigmoid", "gelu"]

_LAYERS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}


def activation(name: Activation) -> nn.Module:
    return _LAYERS[name]()

"""Initial weights of a network, if they are not those of its layers."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

Initialization = Literal["torch", "glorot", "he"]
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def init_weights(network: nn.Module, kind: Initialization) -> None:
    """Initialize the weights of dense, convolutional and attention layers from torch's random state; biases become 0.

    `torch`: no change; torch draws weights and biases uniformly within 1 / sqrt(inputs). `glorot`: uniform within
    sqrt(6 / (inputs + outputs)), as in Keras (Glorot and Bengio, AISTATS 2010). `he`: normal with variance 2 / inputs
    (He et al., arXiv 1502.01852). Frozen layers do not change.
    """
    if kind == "torch":
        return
    for weights, bias in weights_and_biases(network):
        for weight in weights:
            if kind == "glorot":
                nn.init.xavier_uniform_(weight)
            else:
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
        if bias is not None:
            nn.init.zeros_(bias)


@torch.no_grad()
def weights_and_biases(network: nn.Module) -> Iterator[tuple[tuple[Tensor, ...], Tensor | None]]:
    """The weight and bias of each trained layer; attention has three in one tensor: queries, keys, values."""
    for layer in network.modules():
        if isinstance(layer, LAYERS) and layer.weight.requires_grad:
            yield (layer.weight,), layer.bias
        elif isinstance(layer, nn.MultiheadAttention) and layer.in_proj_weight.requires_grad:
            yield layer.in_proj_weight.chunk(3), layer.in_proj_bias

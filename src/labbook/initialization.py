"""The weights that a training begins with, where they are not to be those of the layers themselves."""

from typing import Literal

from torch import nn

Initialization = Literal["torch", "glorot", "he"]
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def draw(network: nn.Module, kind: Initialization) -> None:
    """Draw the weights of dense and convolutional layers anew, from torch's random state; their biases become 0.

    `torch`: nothing is changed; its layers draw weights and biases uniformly within 1 / sqrt(inputs). `glorot`:
    uniformly within sqrt(6 / (inputs + outputs)), as Keras does (Glorot and Bengio, AISTATS 2010). `he`: normal, with
    the variance 2 / inputs (He et al., arXiv 1502.01852). Layers that are not trained stay as they are.
    """
    if kind == "torch":
        return
    for layer in network.modules():
        if not isinstance(layer, LAYERS) or not layer.weight.requires_grad:
            continue
        if kind == "glorot":
            nn.init.xavier_uniform_(layer.weight)
        else:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

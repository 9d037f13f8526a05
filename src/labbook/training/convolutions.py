"""Properties of convolutions that decide memory layout and precision."""

from torch import nn


def has_convolutions(model: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def has_strided_depthwise(model: nn.Module) -> bool:
    """Whether a trained convolution is both depthwise and strided, as in MobileNets."""
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    return any(
        1 < item.groups == item.in_channels and max(item.stride) > 1 and item.weight.requires_grad
        for item in convolutions
    )

"""What convolutions a network has, on which layout in memory and precision depend."""

from torch import nn


def has_convolutions(model: nn.Module) -> bool:
    """Whether the memory layout of images matters to a model."""
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def has_strided_depthwise(model: nn.Module) -> bool:
    """Whether a convolution that is trained has both a filter for each channel and a stride, as MobileNets have."""
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    return any(
        1 < item.groups == item.in_channels and max(item.stride) > 1 and item.weight.requires_grad
        for item in convolutions
    )

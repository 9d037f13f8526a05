"""Which pixels mattered: how much of a class's score each of them stands for, found out in three ways with Captum."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from captum.attr import IntegratedGradients, Occlusion, Saliency
from torch import Tensor

Network = Callable[[Tensor], Tensor]  # normalised images [n, C, H, W] to scores (logits) [n, classes]

STEPS = 50  # between the blank picture and the image
AT_ONCE = 64  # changed copies of the image that the network sees in one batch
WINDOWS = 8  # along a side of the image: so large a part of it is covered at a time


class Method(NamedTuple):
    """A way to ask."""

    meaning: str  # for whoever looks at the picture
    attribute: Callable[[Network, Tensor, int], Tensor]


def integrated_gradients(network: Network, image: Tensor, target: int, steps: int = STEPS) -> Tensor:
    """What each number of `image` [1, C, H, W] adds to the score of the class `target`, [1, C, H, W].

    The sum is the score of the image less that of the blank picture (Sundararajan, Taly and Yan, arXiv 1703.01365).
    """
    found: Tensor = IntegratedGradients(network, multiply_by_inputs=True).attribute(
        image, blank(image), target=target, n_steps=steps, internal_batch_size=AT_ONCE
    )
    return found.detach()


def saliency(network: Network, image: Tensor, target: int) -> Tensor:
    """How much the score changes with each number of `image`, without sign (Simonyan and others, arXiv 1312.6034)."""
    found: Tensor = Saliency(network).attribute(image.clone().requires_grad_(), target=target)
    return found.detach()


def occlusion(network: Network, image: Tensor, target: int, window: int | None = None) -> Tensor:
    """How far the score falls while a window over each place is blank (Zeiler and Fergus, arXiv 1311.2901).

    `window` is its side in pixels. Where windows overlap, the mean of them.
    """
    side = window or max(1, image.shape[-1] // WINDOWS)
    stride = max(1, side // 2)
    with torch.no_grad():
        found: Tensor = Occlusion(network).attribute(
            image,
            sliding_window_shapes=(image.shape[1], side, side),
            strides=(image.shape[1], stride, stride),
            baselines=blank(image),
            target=target,
            perturbations_per_eval=AT_ONCE,
        )
    return found


def blank(images: Tensor) -> Tensor:
    """A picture with nothing on it for each image [n, C, H, W]: all of it as the median of the image's border."""
    border = torch.cat(
        [images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]], dim=-1
    )  # [n, C, 2 * (H + W)]
    return border.median(-1).values[..., None, None].expand_as(images).contiguous()


def heat(attributions: Tensor) -> Tensor:
    """Of one image [1, C, H, W] a map [H, W] from -1 to 1: the sum over its channels; the most telling pixels are 1.

    The scale leaves out the hundredth part that is largest, so that single pixels do not outshine all others.
    """
    summed = attributions.sum(1)[0].float()
    strength = summed.abs()
    largest = strength.flatten().quantile(0.99)
    if largest == 0:
        largest = strength.max()
    return (summed / largest).clamp(-1, 1) if largest > 0 else torch.zeros_like(summed)


METHODS = {
    "Integrated gradients": Method(
        "what each pixel adds to the score of the class on the way from a blank picture (in the colour of the border)"
        " to this one; all of it together is the whole difference",
        integrated_gradients,
    ),
    "Occlusion": Method(
        "how far the score of the class falls while a small window there is covered (in the colour of the border)",
        occlusion,
    ),
    "Saliency": Method(
        "where a slight change of a pixel, to lighter or darker, changes the score of the class most",
        saliency,
    ),
}

"""Which pixels mattered for the score of a class: three methods of Captum."""

from collections.abc import Callable

import torch
from captum.attr import IntegratedGradients, Occlusion, Saliency
from torch import Tensor

Network = Callable[[Tensor], Tensor]  # normalised images [n, C, H, W] to scores (logits) [n, classes]

STEPS = 50  # between the blank picture and the image
AT_ONCE = 64  # changed copies of the image in one batch
WINDOWS = 8  # windows of the occlusion along a side

METHODS = {
    "Integrated gradients": "how much each pixel adds to the score of the class while the image is changed from one"
    " colour (of the border) to the real image; their sum is the total change",
    "Occlusion": "how much the score of the class decreases if a small window at this position is covered (in the"
    " colour of the border)",
    "Saliency": "how much the score of the class changes if this pixel becomes a little lighter or darker",
}


def attribute(method: str, network: Network, image: Tensor, target: int, window: int | None = None) -> Tensor:
    """What each number of `image` [1, C, H, W] does for the score of the class `target`: [1, C, H, W].

    Integrated gradients add up to the score of the image less that of the blank picture (arXiv 1703.01365). Occlusion
    is the mean over the windows that cover a pixel, each of `window` pixels a side (arXiv 1311.2901). Saliency has no
    sign (arXiv 1312.6034).
    """
    if method == "Saliency":
        found: Tensor = Saliency(network).attribute(image.clone().requires_grad_(), target=target)
    elif method == "Occlusion":
        side = window or max(1, image.shape[-1] // WINDOWS)
        stride = max(1, side // 2)
        found = Occlusion(network).attribute(
            image,
            sliding_window_shapes=(image.shape[1], side, side),
            strides=(image.shape[1], stride, stride),
            baselines=blank_images(image),
            target=target,
            perturbations_per_eval=AT_ONCE,
        )
    else:
        found = IntegratedGradients(network).attribute(
            image, blank_images(image), target=target, n_steps=STEPS, internal_batch_size=AT_ONCE
        )
    return found.detach()


def blank_images(images: Tensor) -> Tensor:
    """For each image [n, C, H, W] one of a single colour: the median of its border."""
    border = torch.cat(
        [images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]], dim=-1
    )  # [n, C, 2 * (H + W)]
    return border.median(-1).values[..., None, None].expand_as(images).contiguous()


def heat_map_of(attributions: Tensor) -> Tensor:
    """The sum over the channels of one image [1, C, H, W], scaled to a map [H, W] from -1 to 1.

    The largest hundredth is cut off, so that single pixels do not hide all others.
    """
    summed = attributions.sum(1)[0].float()
    strength = summed.abs()
    largest = strength.flatten().quantile(0.99) or strength.max()
    return (summed / largest).clamp(-1, 1) if largest > 0 else torch.zeros_like(summed)

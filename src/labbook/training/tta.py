"""Test-time augmentation: the mean of the logits over views of an image."""

from collections.abc import Callable
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

Tta = Literal["none", "mirror", "mirror_translate"]
Network = Callable[[Tensor], Tensor]


def tta_logits(network: Network, images: Tensor, tta: Tta) -> Tensor:
    """Logits [n, classes] of images [n, C, H, W], each of at least 2 pixels for `mirror_translate`.

    `mirror`: the mean over the image and its mirror. `mirror_translate`: half that mean, and half its mean over the
    image moved by one pixel up and left, and down and right (Jordan, arXiv 2404.00498).

    Raises:
        ValueError: `tta` is none of these.
    """
    if tta == "none":
        return network(images)
    if tta == "mirror":
        return mirrored_logits(network, images)
    if tta != "mirror_translate":
        raise ValueError(f"task.tta={tta} is unknown; choices: {', '.join(get_args(Tta))}")
    framed = F.pad(images, (1, 1, 1, 1), mode="reflect")
    up_left, down_right = framed[..., 2:, 2:], framed[..., :-2, :-2]
    moved = (mirrored_logits(network, up_left) + mirrored_logits(network, down_right)) / 2
    return (mirrored_logits(network, images) + moved) / 2


def mirrored_logits(network: Network, images: Tensor) -> Tensor:
    return (network(images).float() + network(images.flip(-1)).float()) / 2

"""Training images mixed in pairs, and their labels with them."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def make_mix(mixup: float, cutmix: float, classes: int) -> Mix | None:
    """What makes images [n, C, H, W] and labels (int64 [n]) into mixed images and shares (float [n, classes]).

    Every image is mixed with the one before it in the batch: as a whole (`mixup`; Zhang et al., arXiv 1710.09412) or
    with a box of the other in its place (`cutmix`; Yun et al., arXiv 1905.04899). Both are the alpha of the beta
    distribution that the share is drawn from, once for a batch, and 0 is off; with both on, one of them is drawn. All
    draws are those of torch's own generator on the CPU, whose state is part of a checkpoint. None where both are off.
    """
    if not (mixup or cutmix):
        return None
    from torchvision.transforms import v2  # takes half a second

    kinds = [
        kind(alpha=alpha, num_classes=classes) for kind, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha
    ]
    either: Any = v2.RandomChoice(kinds)
    # A function, as a module would count as a part of the network.
    return lambda images, labels: either(images, labels)

"""Mix training images and their labels in pairs."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def make_mix(mixup: float, cutmix: float, classes: int) -> Mix | None:
    """A function from images [n, C, H, W] and labels (int64 [n]) to mixed images and shares (float [n, classes]).

    Each image is mixed with the one before it in the batch: as a whole (`mixup`; Zhang et al., arXiv 1710.09412) or
    with a box of the other image (`cutmix`; Yun et al., arXiv 1905.04899). Both values are the alpha of the beta
    distribution of the share, drawn once per batch; 0 is off. With both on, one of them is drawn. Random numbers come
    from torch's CPU generator, whose state is in a checkpoint. None if both are off.
    """
    if not (mixup or cutmix):
        return None
    from torchvision.transforms import v2  # takes half a second

    kinds = [
        kind(alpha=alpha, num_classes=classes) for kind, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha
    ]
    either: Any = v2.RandomChoice(kinds)
    # A function, because a module would be part of the network.
    return lambda images, labels: either(images, labels)

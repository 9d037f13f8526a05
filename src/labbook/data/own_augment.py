"""Augmentation by classes of the user, torchvision and kornia, given as `_target_` nodes in `data.augment`.

A class of the user is called with a batch and its `Draw`, like Labbook's. Most of kornia's classes draw for each image
of a batch. Those of torchvision and kornia's sequences draw once for a batch, so they are called for each image.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from labbook.data.randomness import seed_global_generators
from labbook.errors import SettingError, first_line

if TYPE_CHECKING:  # it imports this module
    from labbook.data.augment import Draw

TORCHVISION, KORNIA = "torchvision.transforms.", "kornia."
EACH_ITS_DRAW = "kornia.augmentation._2d."
MIXING = ("kornia.augmentation._2d.mix.", "torchvision.transforms.v2._augment._BaseMixUpCutMix.")
EXPECTED = "pixels 0..255, uint8 or float [n, C, H, W]"


@runtime_checkable
class Augmentation(Protocol):
    """What a class of the user for `data.augment` must be."""

    def __call__(self, images: Tensor, draw: "Draw", /) -> Tensor:
        """New images of the same shape: pixels 0..255 [n, C, H, W], uint8 or float.

        Use the random numbers of `draw`, so that a run that resumes within an epoch gets the same ones.
        """


class OwnTransform:
    """A transform of another class. Global generators are seeded from the draw in a call, and restored after it.

    The first batch that it returns is checked.
    """

    def __init__(self, item: Any) -> None:
        self.name, self.item, self.checked = type(item).__name__, item, False
        bases = [f"{kind.__module__}.{kind.__name__}." for kind in type(item).__mro__]
        if any(base.startswith(MIXING) for base in bases):
            raise SettingError(f"data.augment: {self.name} also mixes labels: use task.mixup or task.cutmix")
        self.of_library = bases[0].startswith((TORCHVISION, KORNIA))
        self.overshoot = 0  # values beyond 0..255 that are clamped
        self.apply: Callable[[Tensor, Draw], Any] = item
        if any(base.startswith(TORCHVISION) for base in bases):
            self.apply = self.torchvision
        elif any(base.startswith(KORNIA) for base in bases):
            self.apply, self.overshoot = self.kornia, 255  # of noise, for example
            self.together = any(base.startswith(EACH_ITS_DRAW) for base in bases)
        elif not takes_batch(item):
            raise SettingError(
                f"data.augment: {self.name} must be callable with (images, draw): {EXPECTED}, and a"
                " labbook.data.augment.Draw"
            )

    def __call__(self, images: Tensor, draw: "Draw") -> Tensor:
        seed = int(torch.randint(2**63 - 1, (), generator=draw.random, device=images.device))
        with seed_global_generators(seed, images.device):
            try:
                changed = self.apply(images.contiguous(), draw)  # own classes may call .view
            except (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
                if not self.of_library or isinstance(error, torch.OutOfMemoryError):
                    raise  # a bug in the user's code: show the traceback
                reason = first_line(error)
                raise SettingError(f"data.augment: {self.name} fails on a batch of images: {reason}") from error
        if not self.checked:
            check_batch(self.name, images, changed, self.overshoot)
            self.checked = True
        clamped: Tensor = changed.clamp(0, 255) if self.overshoot else changed
        return clamped

    def torchvision(self, images: Tensor, draw: "Draw") -> Tensor:
        """One image after the other, as uint8: torchvision expects floats to be 0..1."""
        return torch.stack([self.item(image) for image in images.round().clamp(0, 255).byte()])

    def kornia(self, images: Tensor, draw: "Draw") -> Tensor:
        """Images as float32 0..1; all at once if the class draws for each image."""
        scaled = images.float() / 255
        changed: Tensor = (
            self.item(scaled) if self.together else torch.cat([self.item(image) for image in torch.split(scaled, 1)])
        )
        return changed * 255

    def check_size(self, size: int) -> None:
        if check := getattr(self.item, "check_size", None):
            check(size)


def takes_batch(item: Any) -> bool:
    try:
        inspect.signature(getattr(item, "forward", item)).bind(None, None)
    except TypeError:
        return False
    return True


def check_batch(name: str, images: Tensor, changed: Any, overshoot: float = 0) -> None:
    told = f"data.augment: {name} must return {EXPECTED}, not"
    if not isinstance(changed, Tensor):
        raise SettingError(f"{told} {type(changed).__name__}")
    if changed.shape != images.shape:
        raise SettingError(f"{told} {list(changed.shape)} for {list(images.shape)}")
    if changed.device != images.device:
        raise SettingError(f"{told} on {changed.device} for images on {images.device}")
    if changed.dtype != torch.uint8 and not changed.is_floating_point():
        raise SettingError(f"{told} {str(changed.dtype).removeprefix('torch.')}")
    low, high = (float(value) for value in changed.aminmax())
    numbers = f"numbers from {low:.4g} to {high:.4g}"
    if not (low >= -overshoot and high <= 255 + overshoot):  # also of NaN
        raise SettingError(f"{told} {numbers}: clamp them, and leave normalisation to the program (data.normalize)")
    if changed.is_floating_point() and 0 < high <= 1 < int(images.max()):
        raise SettingError(f"{told} {numbers}: leave pixels as they are, or multiply by 255")

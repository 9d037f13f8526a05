"""AutoAugment, RandAugment and TrivialAugment of a batch, with operations and amounts for each image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torchvision.transforms import AutoAugmentPolicy
from torchvision.transforms.autoaugment import AutoAugment as PublishedPolicies

from labbook.data.augment import color, geometry
from labbook.data.augment.basic import Draw, Transform, change_groups, with_amounts
from labbook.errors import SettingError

MOVES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
COLORS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Brightness": lambda images, amounts: color.brightness(images, 1 + amounts),
    "Color": lambda images, amounts: color.saturation(images, 1 + amounts),
    "Contrast": lambda images, amounts: color.contrast(images, 1 + amounts),
    "Sharpness": lambda images, amounts: color.sharpness(images, 1 + amounts),
    "Posterize": lambda images, amounts: color.posterize(images, 8 - amounts.round()),
    "Solarize": lambda images, amounts: color.solarize(images, 255 * (1 - amounts)),
    "AutoContrast": lambda images, _: color.autocontrast(images),
    "Equalize": lambda images, _: color.equalize(images),
    "Invert": lambda images, _: 255 - images,
}
SIGNED = {*MOVES, "Brightness", "Color", "Contrast", "Sharpness"}
# Operations of RandAugment and TrivialAugment.
NAMES = ("Identity", *MOVES, *(name for name in COLORS if name != "Invert"))
OPERATIONS = (*NAMES, "Invert")


def largest(shear: float, shift: tuple[float, float], turn: float, color: float, bits: float) -> dict[str, float]:
    """The amount of each operation at the maximum magnitude; at the minimum it is 0."""
    moves = dict(zip(MOVES, (shear, shear, *shift, turn), strict=True))
    return moves | dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), color) | {
        "Posterize": bits, "Solarize": 1.0,
    }  # fmt: skip


def apply_operations(images: Tensor, chosen: Tensor, amounts: Tensor) -> Tensor:
    """Apply an operation to each image: its index in `OPERATIONS` (int64 [n]) and its amount (float [n])."""
    numbers = chosen.tolist()
    moved: list[int] = []
    matrices: list[Tensor] = []
    groups = []
    for number in sorted(set(numbers)):
        name, rows = OPERATIONS[number], [row for row, each in enumerate(numbers) if each == number]
        if name in MOVES:
            moved += rows
            matrices.append(geometry.move(name, amounts[rows], *images.shape[2:]))
        elif name in COLORS:
            groups.append((rows, with_amounts(COLORS[name], amounts[rows])))
    if moved:
        groups.append((moved, with_amounts(geometry.affine, torch.cat(matrices))))
    return change_groups(images, groups)


def whole_numbers(below: int, count: int, draw: Draw) -> Tensor:
    return torch.randint(below, (count,), generator=draw.random, device=draw.random.device)


def signed_amounts(chosen: Tensor, magnitudes: Tensor, most: Mapping[str, float], draw: Draw) -> Tensor:
    """Amounts at magnitudes from 0 to 1 (float [n]); half of the amounts of signed operations are negative."""
    sizes = torch.tensor([most.get(name, 0.0) for name in OPERATIONS], device=chosen.device)
    signed = torch.tensor([name in SIGNED for name in OPERATIONS], device=chosen.device)
    negative = torch.rand(chosen.shape, generator=draw.random, device=chosen.device) < 0.5
    return sizes[chosen] * magnitudes * torch.where(signed[chosen] & negative, -1.0, 1.0)


@dataclass(frozen=True)
class TrivialAugment(Transform):
    """One operation per image at one of 31 magnitudes: the wide space of Müller and Hutter, arXiv 2103.10158."""

    LARGEST: ClassVar[dict[str, float]] = largest(0.99, (32.0, 32.0), 135.0, 0.99, 6.0)
    BINS: ClassVar[int] = 31

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        chosen = whole_numbers(len(NAMES), len(images), draw)
        magnitudes = whole_numbers(self.BINS, len(images), draw) / (self.BINS - 1)
        return apply_operations(images, chosen, signed_amounts(chosen, magnitudes, self.LARGEST, draw))


@dataclass(frozen=True)
class RandAugment(Transform):
    """`operations` per image, one after the other, at one magnitude (Cubuk et al., arXiv 1909.13719)."""

    magnitude: int = 9  # of 0 to 30
    operations: int = 2

    def __post_init__(self) -> None:
        if not (0 <= self.magnitude <= 30 and self.operations >= 1):
            raise SettingError(
                f"data.augment: {self.name} takes a magnitude from 0 to 30 and at least 1 operation, not"
                f" {self.magnitude} and {self.operations}"
            )

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        height, width = images.shape[2:]
        most = largest(0.3, (150 / 331 * width, 150 / 331 * height), 30.0, 0.9, 4.0)
        for _ in range(self.operations):
            chosen = whole_numbers(len(NAMES), len(images), draw)
            magnitudes = torch.full((len(images),), self.magnitude / 30, device=images.device)
            images = apply_operations(images, chosen, signed_amounts(chosen, magnitudes, most, draw))
        return images


Policy = Literal["imagenet", "cifar10", "svhn"]


@dataclass(frozen=True)
class AutoAugment(Transform):
    """Two operations per image, by one of 25 rules for a data set (Cubuk et al., arXiv 1805.09501)."""

    policy: Policy = "imagenet"

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise SettingError(f"data.augment: {self.name} takes {', '.join(get_args(Policy))}, not {self.policy}")

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        height, width = images.shape[2:]
        most = largest(0.3, (150 / 331 * width, 150 / 331 * height), 30.0, 0.9, 4.0)
        rules = PublishedPolicies(AutoAugmentPolicy(self.policy)).policies
        rule = whole_numbers(len(rules), len(images), draw)
        for place in range(2):
            steps = [each[place] for each in rules]
            numbers, probabilities, bins = (
                torch.tensor(column, device=images.device)[rule]
                for column in zip(*((OPERATIONS.index(name), p, bin_ or 0) for name, p, bin_ in steps), strict=True)
            )
            done = torch.rand(len(images), generator=draw.random, device=images.device) <= probabilities
            chosen = torch.where(done, numbers, OPERATIONS.index("Identity"))
            images = apply_operations(images, chosen, signed_amounts(chosen, bins / 9, most, draw))
        return images

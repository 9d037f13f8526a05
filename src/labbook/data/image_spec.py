"""What a model knows about its images: the only interface between data and model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from labbook.errors import SettingError

Normalize = Literal["unit", "half", "dataset", "imagenet"] | dict[Literal["mean", "std"], list[float]]
PerChannel = tuple[float, ...]  # of pixels scaled to [0, 1]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@lru_cache(maxsize=16)
def scale_and_shift(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Factor and subtrahend of pixels 0..255, float32 [C]; cached, because a copy to a GPU would stall it."""
    means, stds = (torch.tensor(values, dtype=torch.float32, device=device) for values in (mean, std))
    return 1 / (255 * stds), means / stds


@dataclass(frozen=True)
class ImageSpec:
    """What a model knows about its images; `mean` and `std` are per channel, of pixels scaled to [0, 1]."""

    channels: int
    size: int  # pixels, height and width
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    multilabel: bool = False  # an image can have several classes

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def normalize(self, images: Tensor, out: Tensor | None = None) -> Tensor:
        """Pixels 0..255 [N, C, H, W], uint8 or float32, to normalized float32; `out`: where to write it.

        The result has the memory layout of `out`, or of the images.
        """
        scale, shift = scale_and_shift(self.mean, self.std, images.device)
        factor, subtrahend = scale.view(-1, 1, 1), shift.view(-1, 1, 1)
        by_rows = images.device.type == "cpu" and is_channels_last(images if out is None else out)
        if out is None and not by_rows:
            return torch.mul(images, factor).sub_(subtrahend)
        out = torch.empty_like(images, dtype=torch.float32) if out is None else out
        # A change of the type and of the layout at once is slow.
        out.copy_(images if is_channels_last(images) == is_channels_last(out) else images.float())
        if by_rows:  # of an image at a time: a CPU is several times slower with one value per channel
            width = out.shape[3]
            out.permute(0, 2, 3, 1).flatten(2).mul_(scale.repeat(width)).sub_(shift.repeat(width))
        else:
            out.mul_(factor).sub_(subtrahend)
        return out

    def has_normalization(self, value: Normalize, own: tuple[PerChannel, PerChannel]) -> bool:
        """Whether a value of data.normalize gives this mean and std; `own` are those of the data set."""
        try:
            return mean_and_std(value, self.channels, own) == (self.mean, self.std)
        except (LookupError, SettingError):  # not a valid value
            return False

    def name_of(self, label: Tensor) -> str:
        """The class of an image, int64 []; or its classes, [classes], as 3|7, or a dash if it has none."""
        if not self.multilabel:
            return self.class_names[int(label)]
        return join_class_names(
            name for name, value in zip(self.class_names, label.tolist(), strict=True) if value > 0.5
        )

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits [n, classes] to probabilities; their sum is 1 if an image has one class."""
        return logits.sigmoid() if self.multilabel else logits.softmax(1)


def is_channels_last(images: Tensor) -> bool:
    """Whether images [N, C, H, W] have the values of a pixel side by side, and several of them."""
    return images.stride(1) == 1 and images.shape[1] > 1 and images.is_contiguous(memory_format=torch.channels_last)


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """The number of images of each class, int64 [classes]; labels [n], or [n, classes] with several per image."""
    return labels.bincount(minlength=classes) if labels.ndim == 1 else (labels > 0.5).sum(0)


def label_combinations(labels: Tensor) -> Tensor:
    """Labels [n] unchanged; labels [n, classes] as the index of their combination of classes, int64 [n]."""
    return labels if labels.ndim == 1 else torch.unique(labels, dim=0, return_inverse=True)[1]


def join_class_names(names: Iterable[str]) -> str:
    """The names of several classes in one text, as 3|7; a dash if there is none."""
    return "|".join(names) or "–"


def mean_and_std(
    normalize: Normalize, channels: int, own: tuple[PerChannel, PerChannel]
) -> tuple[PerChannel, PerChannel]:
    """Mean and std for images with a number of channels; `own` are those of the data set, empty if unknown."""
    if isinstance(normalize, Mapping):
        given = [tuple(map(float, normalize.get(key, ()))) for key in ("mean", "std")]
        if any(len(values) != channels for values in given) or min(given[1]) <= 0:
            raise SettingError(
                f"data.normalize needs mean and std with {channels} numbers each (one a channel), std above 0"
            )
        return given[0], given[1]
    mean, std = {
        "unit": ((0.0,), (1.0,)),
        "half": ((0.5,), (0.5,)),
        "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
        "dataset": own,
    }[normalize]
    if not mean:
        raise SettingError(
            "data.normalize=dataset: this data set has no known mean and std; choices: half, imagenet, unit or mean"
            " and std"
        )
    return per_channel(mean, channels), per_channel(std, channels)


def per_channel(values: PerChannel, channels: int) -> PerChannel:
    """A value per channel: the mean of three for grey images, one value repeated for color images."""
    if len(values) == channels:
        return values
    return (sum(values) / len(values),) * channels

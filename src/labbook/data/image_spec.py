"""The only handshake between data and model."""

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
    """What pixels 0..255 are multiplied by and what is then taken off, float32 [C, 1, 1].

    Remembered, as sending it to a GPU would stop that for a moment.
    """
    means, stds = (torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1) for values in (mean, std))
    return 1 / (255 * stds), means / stds


@dataclass(frozen=True)
class ImageSpec:
    """What a model must know of its images, and all that it knows.

    `mean` and `std` are per channel, of pixels scaled to [0, 1].
    """

    channels: int
    size: int  # pixels, height and width
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    multilabel: bool = False  # an image has any number of the classes, not one

    @property
    def num_classes(self) -> int:
        """How many classes the network tells apart."""
        return len(self.class_names)

    def normalize(self, images: Tensor) -> Tensor:
        """Pixels 0..255 [N, C, H, W], uint8 or float32, to normalised float32."""
        scale, shift = scale_and_shift(self.mean, self.std, images.device)
        return torch.mul(images, scale).sub_(shift)

    def has_normalization(self, value: Normalize, own: tuple[PerChannel, PerChannel]) -> bool:
        """Whether a value of data.normalize gives this mean and std; `own` are those of the data set."""
        try:
            return mean_and_std(value, self.channels, own) == (self.mean, self.std)
        except (LookupError, SettingError):  # not a valid value
            return False

    def name_of(self, label: Tensor) -> str:
        """The class of an image, int64 []; or its classes, [classes], as in 3|7, or a dash where it has none."""
        if not self.multilabel:
            return self.class_names[int(label)]
        return join_class_names(
            name for name, value in zip(self.class_names, label.tolist(), strict=True) if value > 0.5
        )

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits [n, classes] to the probability of each class: they add up to 1 where an image has one class."""
        return logits.sigmoid() if self.multilabel else logits.softmax(1)


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """Images of each class, int64 [classes], by labels [n], or [n, classes] where an image has several."""
    return labels.bincount(minlength=classes) if labels.ndim == 1 else (labels > 0.5).sum(0)


def label_combinations(labels: Tensor) -> Tensor:
    """Labels [n] as they are; of labels [n, classes] the number of each combination of classes, int64 [n]."""
    return labels if labels.ndim == 1 else torch.unique(labels, dim=0, return_inverse=True)[1]


def join_class_names(names: Iterable[str]) -> str:
    """The names of several classes in one cell, as in 3|7; a dash where there is none."""
    return "|".join(names) or "–"


def mean_and_std(
    normalize: Normalize, channels: int, own: tuple[PerChannel, PerChannel]
) -> tuple[PerChannel, PerChannel]:
    """The figures for images of so many channels; `own` are those of the data set, empty where nobody knows them.

    Raises:
        SettingError: another number of figures than channels, a deviation of 0, or figures that nobody knows.
    """
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
    """One value for each channel shown: a grey image takes the mean of three, a colour one repeats a single one."""
    if len(values) == channels:
        return values
    return (sum(values) / len(values),) * channels

"""The mean and deviation that pixels are normalised with."""

from collections.abc import Mapping
from typing import Literal

from labbook.errors import SettingError

Normalize = Literal["unit", "half", "dataset", "imagenet"] | dict[Literal["mean", "std"], list[float]]
PerChannel = tuple[float, ...]  # of pixels scaled to [0, 1]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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

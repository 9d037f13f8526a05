"""The setting `data.augment` as transforms."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_origin

from labbook.data.augment import basic, photographs, policies
from labbook.data.augment.basic import Transform
from labbook.data.own_augment import OwnTransform
from labbook.errors import SettingError, list_choices

KINDS: tuple[type[Transform], ...] = (
    basic.AlternatingFlip, basic.Crop, basic.Erasing, basic.Flip, basic.ReflectCrop, basic.Rotation,
    photographs.Blur, photographs.ColorJitter, photographs.Grayscale, photographs.Perspective,
    photographs.RandomResizedCrop,
    policies.AutoAugment, policies.RandAugment, policies.TrivialAugment,
)  # fmt: skip
TRANSFORMS = {kind.name: kind for kind in KINDS}

# Presets, by whether a mirrored image has the same class (False for digits).
PRESETS: dict[str, dict[bool, list[Any]]] = {
    "none": {True: [], False: []},
    "light": {True: ["flip", {"random_resized_crop": {"scale": [0.5, 1]}}], False: [{"crop": 2}, {"rotation": 5}]},
    "strong": {
        True: ["flip", "random_resized_crop", "trivial_augment", {"erasing": 0.25}],
        False: [{"crop": 3}, {"rotation": 10}, {"perspective": {"distortion": 0.2}}, {"erasing": 0.25}],
    },
}


def parse_transforms(
    setting: str | Sequence[Any], size: int, mirrored: bool = True
) -> tuple[Transform | OwnTransform, ...]:
    """The transforms of a preset, or of a list such as `["flip", {"crop": 4}, Noise()]`, for images of `size` pixels.

    `mirrored`: a mirrored image has the same class.
    """
    if isinstance(setting, str):
        if setting not in PRESETS:
            raise SettingError(
                f"data.augment={setting} is unknown: use {', '.join(PRESETS)}, or a list such as [flip, {{crop: 4}}]"
            )
        setting = PRESETS[setting][mirrored]
    transforms: list[Transform | OwnTransform] = []
    for item in setting:
        if isinstance(item, str):
            transforms.append(make(item, {}))
        elif isinstance(item, Mapping):
            transforms += [make(name, amount) for name, amount in item.items()]
        else:
            transforms.append(item if type(item) in KINDS else OwnTransform(item))
    for transform in transforms:
        transform.check_size(size)
    return tuple(transforms)


def make(name: str, amount: Any) -> Transform:
    """The transform of a name with its options: a mapping, or the value of the first option."""
    if name not in TRANSFORMS:
        raise SettingError(f"data.augment: {name} is unknown; {list_choices(name, TRANSFORMS)}")
    kind = TRANSFORMS[name]
    options = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # each is a dataclass
    if not isinstance(amount, Mapping):
        if not options:
            raise SettingError(f"data.augment: {name} takes no amount, not {amount}")
        amount = {next(iter(options)): amount}
    for option, value in amount.items():
        if option not in options:
            raise SettingError(f"data.augment: {name} has no option {option}; {list_choices(option, options)}")
        check_option(name, option, value, options[option].type)
    return kind(**{option: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
                   for option, value in amount.items()})  # fmt: skip


def check_option(name: str, option: str, value: Any, kind: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if get_origin(kind) is tuple:
        pair = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
        right = pair and all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in value)
        wanted = "two numbers, [LEAST, MOST]"
    elif kind is int:
        right, wanted = number and float(value).is_integer(), "a whole number"
    elif kind is float:
        right, wanted = number, "a number"
    else:
        right, wanted = isinstance(value, str), "a name"
    if not right:
        raise SettingError(f"data.augment: {name} takes {wanted} for {option}, not {value}")

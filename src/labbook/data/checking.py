"""Checks of the class of a data set and of the images that its `read` returns."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from labbook.data.images import Images
from labbook.errors import SettingError

PARTS = ("train", "test")
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
LABEL_TYPES = (torch.bool, torch.uint8, torch.int32, torch.int64, torch.float32, torch.float64)
PIXELS = "uint8 [N, C, H, W], 0..255"


def check_data_class(kind: type, class_names: Any, image_size: int, only: str | None = None) -> None:
    """Check the class attributes; `only`: one part, which can have a single class."""
    name = kind.__name__
    names: Sequence[Any] = class_names if isinstance(class_names, tuple) else ()
    if not names or not all(isinstance(each, str) and each for each in names):
        raise SettingError(f"{name}.class_names must be a tuple of names, one for each class, not {class_names!r}")
    if len(names) == 1 and only is None:
        raise SettingError(f"{name}.class_names must have at least two classes, not {names[0]!r} alone")
    if twice := next((each for each in names if names.count(each) > 1), None):
        raise SettingError(f"{name}.class_names must be different names, and {twice!r} occurs twice")
    if image_size < 1:
        raise SettingError(f"{name}.native_size must be the side of its images in pixels, or use data.image_size=N")


def check_mean_and_std(kind: type, mean: Any, std: Any, channels: int) -> None:
    """Mean and standard deviation must be those of pixels scaled to [0, 1]."""
    name = kind.__name__
    both = isinstance(mean, tuple) and isinstance(std, tuple) and len(mean) == len(std)
    if not both or not all(isinstance(value, (int, float)) for value in mean + std):
        raise SettingError(f"{name}.mean and {name}.std must be tuples of as many numbers, not {mean!r} and {std!r}")
    if len(mean) not in (0, 1, 3, channels):
        raise SettingError(f"{name}.mean and {name}.std must have {channels} numbers, one a channel, not {len(mean)}")
    if not all(0 <= value <= 1 for value in mean) or not all(0 < value <= 1 for value in std):
        raise SettingError(
            f"{name}.mean and {name}.std must be of pixels scaled to [0, 1], std above 0, not {mean} and {std}"
        )


def check_read_images(
    found: Any, kind: type, class_names: Sequence[str], channels: int, only: str | None, multilabel: bool = False
) -> tuple[Images, Images]:
    """The images that `read` returned, with contiguous pixels; `only`: the other part can be empty."""
    name = f"{kind.__name__}.read"
    both = found if isinstance(found, (tuple, list)) and not isinstance(found, Images) else [found]
    if len(both) != 2 or not all(isinstance(part, Images) for part in both):
        given = " and ".join(type(each).__name__ for each in both) or "nothing"
        raise SettingError(f"{name} must return two Images, the training set and the test set, not {given}")
    for part, images in zip(PARTS, both, strict=True):
        where = f"{name}: the {'training' if part == 'train' else 'test'} set"
        check_pixels(where, images.pixels, channels, scanned=not images.content)
        if multilabel:
            check_label_table(where, images.labels, len(images.pixels), len(class_names))
        else:
            check_labels(where, images.labels, len(images.pixels), class_names)
        if not len(images.pixels) and only in (None, part):
            raise SettingError(f"{where} has no image")
        check_rows(where, images)
        check_extra(where, images.extra, len(images.pixels))
    train, test = both
    kinds = [{key: (each.dtype, each.shape[1:]) for key, each in images.extra.items()} for images in both]
    if kinds[0] != kinds[1]:
        raise SettingError(
            f"{name}: extra must have the same names, types and shapes in the training set and the test set"
        )
    return train._replace(pixels=in_one_block(train.pixels)), test._replace(pixels=in_one_block(test.pixels))


def in_one_block(pixels: Tensor) -> Tensor:
    """Pixels [N, C, H, W] without gaps in memory, contiguous or channels-last."""
    return pixels if pixels.is_contiguous(memory_format=torch.channels_last) else pixels.contiguous()


def check_pixels(where: str, pixels: Any, channels: int, scanned: bool) -> None:
    """Check type and shape; `scanned`: also the values."""
    expected = f"{where} must have pixels {PIXELS}"
    if not isinstance(pixels, Tensor):
        how = ": use torch.from_numpy" if type(pixels).__name__ == "ndarray" else ""
        raise SettingError(f"{expected}, as a tensor, not {type(pixels).__name__}{how}")
    told = f"{expected}, not {describe_tensor(pixels)}"
    if pixels.device.type != "cpu":
        raise SettingError(f"{told} on {pixels.device}: leave them on the CPU")
    if pixels.dtype == torch.bool:
        raise SettingError(f"{told}: write 255 * pixels.byte()")
    if pixels.dtype != torch.uint8:
        low, high = (float(value) for value in pixels.aminmax()) if pixels.numel() else (0.0, 0.0)
        if pixels.is_floating_point() and 0 <= low <= high <= 1:
            raise SettingError(f"{told}: write (255 * pixels).round().byte()")
        if 0 <= low <= high <= 255:
            raise SettingError(f"{told}: write pixels.byte()")
        raise SettingError(f"{told} from {low:.4g} to {high:.4g}")  # or NaN
    if pixels.ndim != 4 or 0 in pixels.shape[1:]:
        how = ": write pixels.unsqueeze(1)" if pixels.ndim == 3 else ""
        raise SettingError(f"{told}{how}")
    if pixels.shape[1] not in (1, 3, channels):
        how = ": write pixels.permute(0, 3, 1, 2)" if pixels.shape[-1] in (1, 3, channels) else ""
        raise SettingError(f"{told}, with C 1 or 3{how}")
    if scanned and len(pixels) and int(pixels.max()) <= 1:
        raise SettingError(f"{where} must have pixels 0..255, and none is above 1: multiply by 255 before byte()")


def check_labels(where: str, labels: Any, count: int, class_names: Sequence[str]) -> None:
    expected = f"{where} must have labels int64 [N], the index of each image's class in class_names"
    if not isinstance(labels, Tensor):
        raise SettingError(f"{expected}, as a tensor, not {type(labels).__name__}")
    if labels.ndim == 2 and labels.shape[1] == len(class_names):
        raise SettingError(f"{where} has labels [N, classes]: say so with multilabel = True in the class")
    if labels.dtype not in INTEGERS or labels.ndim != 1:
        raise SettingError(f"{expected}, not {describe_tensor(labels)}")
    if labels.device.type != "cpu":
        raise SettingError(f"{expected}, on the CPU, not on {labels.device}")
    if len(labels) != count:
        raise SettingError(
            f"{where} must have a label for each image, and has {count:,} images and {len(labels):,} labels"
        )
    if not count:
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(class_names):
        wrong, last = (low if low < 0 else high), len(class_names) - 1
        raise SettingError(
            f"{where} must have labels 0..{last}, as class_names has {len(class_names)} classes, not {wrong}"
        )


def check_label_table(where: str, labels: Any, count: int, classes: int) -> None:
    """The labels must say for each image and class whether the image has it."""
    expected = f"{where} must have labels [{count}, {classes}], 0 or 1 for each image and class, as multilabel says"
    if not isinstance(labels, Tensor) or labels.dtype not in LABEL_TYPES:
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise SettingError(f"{expected}, as a tensor of bool, uint8, int64 or float32, not {kind}")
    if labels.shape != (count, classes):
        raise SettingError(f"{expected}, not {list(labels.shape)}")
    if labels.numel() and not bool(((labels >= 0) & (labels <= 1)).all()):  # also NaN
        wrong = labels[~((labels >= 0) & (labels <= 1))][0].item()
        raise SettingError(f"{expected}, and one is {wrong:g}")


def check_rows(where: str, images: Images) -> None:
    count = len(images.pixels)
    for name in ("files", "digests", "groups"):
        if (values := getattr(images, name)) and len(values) != count:
            raise SettingError(f"{where} must have {name} for each of {count:,} images, not {len(values):,}")
    held_out = images.validation
    if held_out is not None and (
        not isinstance(held_out, Tensor) or held_out.shape != (count,) or held_out.dtype != torch.bool
    ):
        raise SettingError(f"{where} must have validation bool [N] or None, not {describe_tensor(held_out)}")


def check_extra(where: str, extra: Any, count: int) -> None:
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) and name.isidentifier() for name in extra):
        raise SettingError(f"{where} must have extra as a mapping of names to tensors, not {extra!r}")
    for name, tensor in extra.items():
        expected = f"{where} must have extra[{name!r}] as a tensor [{count}, ...] on the CPU"
        if not isinstance(tensor, Tensor) or tensor.device.type != "cpu" or tensor.shape[:1] != (count,):
            raise SettingError(f"{expected}, not {describe_tensor(tensor)}")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise SettingError(f"{expected}, all of finite numbers, and some are NaN or infinite")


def describe_tensor(value: Any) -> str:
    """The type and the shape of a tensor, as in float32 [500, 1, 16, 16]; the type alone of another object."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"

"""Labels of images that have several classes each: checked once, when they are read."""

from typing import Any

import torch
from torch import Tensor

from labbook.errors import SettingError

TYPES = (torch.bool, torch.uint8, torch.int32, torch.int64, torch.float32, torch.float64)


def check_label_table(where: str, labels: Any, count: int, classes: int) -> None:
    """Refuse what does not say of each image and class whether it has it.

    Raises:
        SettingError: `where`, what is expected and what is there.
    """
    expected = f"{where} must have labels [{count}, {classes}], 0 or 1 for each image and class, as multilabel says"
    if not isinstance(labels, Tensor) or labels.dtype not in TYPES:
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise SettingError(f"{expected}, as a tensor of bool, uint8, int64 or float32, not {kind}")
    if labels.shape != (count, classes):
        raise SettingError(f"{expected}, not {list(labels.shape)}")
    if labels.numel() and not bool(((labels >= 0) & (labels <= 1)).all()):  # nor where one is NaN
        wrong = labels[~((labels >= 0) & (labels <= 1))][0].item()
        raise SettingError(f"{expected}, and one is {wrong:g}")

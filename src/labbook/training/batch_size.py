"""The rules of `data.batch_size=auto`: the largest power of two that fits into memory and leaves enough steps."""

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from labbook.data.resize import machine_memory
from labbook.errors import SettingError
from labbook.training.capabilities import images_per_epoch

AUTO = "auto"
STEPS = 10  # at least, in an epoch
TRIED = 8, 16  # images: of two sizes, the difference is the memory of the images
SHARE = 2  # a CPU uses 1 / SHARE of the memory
GRADIENTS = 2  # with gradients and temporary tensors, a step needs so many times the memory of what backward uses
COPIES = 4  # of each parameter: itself, its gradient, and the state of an optimizer such as Adam
MOST = 2**16  # if the number of images is not known
NOTHING_FITS = "data.batch_size=auto: not even a few images fit into memory: use a smaller image size or network"


class StepMemory(Callback):
    """The images of an epoch, and on a CPU the bytes that backward needs of a step."""

    def __init__(self) -> None:
        self.images: int | None = None
        self.saved: dict[int, int] = {}  # bytes, by address

    @property
    def total(self) -> int:
        return sum(self.saved.values())

    def hooks(self) -> saved_tensors_hooks:
        """A context that notes the tensors that are kept for backward."""
        return saved_tensors_hooks(self._note, lambda tensor: tensor)

    def _note(self, tensor: Tensor) -> Tensor:
        self.saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.images = images_per_epoch(trainer.train_dataloader, trainer.num_training_batches)


def most_images(images: int | None, accumulated: int) -> int:
    """The batch size with which an epoch of `images` has `STEPS` steps of `accumulated` batches."""
    return MOST if images is None else power_of_two(images / (STEPS * accumulated))


def power_of_two(limit: float) -> int:
    """The largest power of two up to a limit; at least 1."""
    return 1 << max(int(limit).bit_length() - 1, 0)


def images_in_memory(model: nn.Module, per_image: float) -> int:
    """The images that fit into the share of the machine's memory, if backward needs so many bytes of each."""
    parameters = sum(item.nbytes for item in model.parameters())
    found = int((memory_share() - COPIES * parameters) / max(GRADIENTS * per_image, 1))
    if found < 1:
        raise SettingError(NOTHING_FITS)
    return found


def memory_share() -> float:
    return machine_memory() / SHARE


def largest_without_error(trial: Callable[[int], Any], first: int, most: int) -> tuple[int, bool]:
    """Double the batch size from `first` to `most` until a trial is out of memory: the last size, and if it was."""
    size = min(first, most)
    try:
        while 2 * size <= most:
            trial(2 * size)
            size *= 2
    except torch.OutOfMemoryError:
        return size, True
    return size, False

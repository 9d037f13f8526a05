"""Batches of a data set on their way to the network: gathered, moved to the device, augmented, normalized."""

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Literal

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from labbook.data.augment import Draw
from labbook.data.image_spec import ImageSpec
from labbook.data.images import Images
from labbook.data.loader import Batch, TensorLoader
from labbook.data.randomness import seeded_generator
from labbook.data.resize import fits_on_device
from labbook.data.sampling import Sampler
from labbook.errors import SettingError

Split = Literal["train", "val", "test"]

# Numbers that a CPU augments at a time, so that they stay in its cache: two photographs of 256 pixels, which takes a
# third of the time of 128 at once. Another value changes which numbers augmentation draws.
AUGMENTED = 2**19


class BatchDataModule(LightningDataModule):
    """Lightning's side of a data set: loaders and what happens to a batch. `ImageDataModule` sets the attributes."""

    batch_size: int
    shuffle: bool
    sampler: Sampler | None
    drop_last: bool
    validation: Literal["split", "test"]
    val_fraction: float
    seed: int
    on_device: Literal["auto"] | bool
    image_size: int  # pixels
    transforms: Sequence[Callable[[Tensor, Draw], Tensor]]  # augmentation of training images
    parts: dict[str, Images]  # "train" and "test"
    rows: dict[Split, Tensor]  # int64: rows of the part that `part_of` names

    def __init__(self) -> None:
        super().__init__()
        self.memory_format = torch.contiguous_format
        self.test_split: Split = "test"
        self.waiting: GpuStallTimer | None = None  # of a GPU, for images that are not on it
        self._copies: dict[tuple[str, torch.device], Images] = {}

    @property
    @abstractmethod
    def spec(self) -> ImageSpec:
        """The images as the network sees them."""

    # Loaders -------------------------------------------------------------------------------------------------------

    def train_dataloader(self) -> TensorLoader:
        """Batches of the training images in the order of the epoch."""
        return self.make_loader(
            "train", training=True, shuffle=self.shuffle, sampler=self.sampler, drop_last=self.drop_last
        )

    def val_dataloader(self) -> TensorLoader | list[Any]:
        """Batches of the validation images; an empty list if there are none."""
        return self.make_loader("val") if len(self.rows["val"]) else []

    def test_dataloader(self) -> TensorLoader:
        """Batches of the split `test_split`, by default the test set.

        Raises:
            SettingError: the split has no image.
        """
        if not len(self.rows[self.test_split]):
            raise SettingError(
                f"there are no validation images to test on, because data.val_fraction={self.val_fraction} of"
                f" {len(self.rows['train']):,} images is none: choose test or train"
            )
        return self.make_loader(self.test_split)

    def make_loader(
        self,
        split: Split,
        *,
        training: bool = False,
        shuffle: bool = False,
        sampler: Sampler | None = None,
        drop_last: bool = False,
    ) -> TensorLoader:
        """Batches of a split, on the device if the images are kept there; those of `training` are augmented."""
        images = self._placed(self.part_of(split))
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if training and self._device.type == "cuda" and images.pixels.device != self._device:
            self.waiting = self.waiting or GpuStallTimer(self._device)
        all_alike = images.pixels.device == self._device and not (training and self.transforms)
        return TensorLoader(
            images.pixels, images.labels, self.rows[split], self.batch_size, training=training, shuffle=shuffle,
            drop_last=drop_last, seed=self.seed, rank=rank, world_size=world_size,
            normalize=self._normalized if all_alike else None, waiting=self.waiting if training else None,
            sampler=sampler, extra=images.extra,
        )  # fmt: skip

    def part_of(self, split: Split) -> str:
        """The part that `rows[split]` are rows of."""
        return "test" if split == "test" or (split == "val" and self.validation == "test") else "train"

    @property
    def _device(self) -> torch.device:
        device: torch.device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return device

    def _placed(self, part: str) -> Images:
        """The images of a part, copied to the device once if they are to be kept there."""
        device, images = self._device, self.parts[part]
        tensors = (images.pixels, *images.extra.values())
        if self.on_device is False or (self.on_device == "auto" and not fits_on_device(tensors, device)):
            return images
        if (part, device) not in self._copies:
            extra = {name: tensor.to(device) for name, tensor in images.extra.items()}
            self._copies[part, device] = Images(images.pixels.to(device), images.labels.to(device), extra=extra)
        return self._copies[part, device]

    def teardown(self, stage: str | None = None) -> None:
        """Free the memory of the device."""
        self._copies.clear()

    # What happens to a batch ---------------------------------------------------------------------------------------

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch, unless it is on the device."""
        if batch.images.device == device:
            return batch
        return move_batch(batch, device, (batch.training and self.waiting) or nullcontext())

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment training images and normalize, unless the loader has normalized them."""
        if batch.images.is_floating_point():
            return batch
        draw = None
        if batch.training and self.transforms:
            rank = self.trainer.global_rank if self.trainer else 0
            random = seeded_generator(batch.images.device, self.seed, batch.epoch, batch.step, rank)
            draw = Draw(random, batch.rows, batch.epoch, self.seed, self.image_size)
        made = self._normalized, self.memory_format, self.image_size
        return augment_and_normalize(batch, self.transforms, draw, *made)

    def _normalized(self, images: Tensor, out: Tensor | None = None) -> Tensor:
        """Pixels 0..255 as the network sees them, written to `out` if given; of larger images the center."""
        if images.shape[-1] != self.image_size:
            edge = (images.shape[-1] - self.image_size) // 2
            images = images[..., edge : edge + self.image_size, edge : edge + self.image_size]
        return self.spec.normalize(images, out).contiguous(memory_format=self.memory_format)


class GpuStallTimer:
    """Adds up the seconds spent in this context if the GPU was idle when they began.

    Work of the CPU while the GPU still has queued steps costs no time and is not counted.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        self._since: float | None = None

    def is_idle(self) -> bool:
        """Whether the GPU has finished all queued work."""
        return torch.cuda.current_stream(self.device).query()

    def __enter__(self) -> None:
        self._since = time.perf_counter() if self.is_idle() else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since


def move_batch(batch: Batch, device: torch.device, waiting: AbstractContextManager[None]) -> Batch:
    """The batch with all its tensors on the device; `waiting` is entered while they are pinned for a GPU."""
    tensors = [batch.images, batch.labels, *batch.extra.values()]
    if device.type == "cuda":
        with waiting:
            tensors = [tensor if tensor.is_cuda else tensor.pin_memory() for tensor in tensors]
    images, labels, *extra = [tensor.to(device, non_blocking=True) for tensor in tensors]
    return batch._replace(images=images, labels=labels, extra=dict(zip(batch.extra, extra, strict=True)))


def augment_and_normalize(
    batch: Batch,
    transforms: Sequence[Callable[[Tensor, Draw], Tensor]],
    draw: Draw | None,
    normalize: Callable[..., Tensor],
    memory_format: torch.memory_format,
    size: int,
) -> Batch:
    """The batch with its images augmented (if there is a `draw`), normalized, and of `size` pixels."""

    def augmented(images: Tensor, draw: Draw | None) -> Tensor:
        if draw is not None:
            for transform in transforms:
                images = transform(images, draw)
        return images

    images = batch.images
    at_once = max(1, AUGMENTED // images[0].numel()) if images.device.type == "cpu" else len(images)
    if at_once >= len(images):
        return batch._replace(images=normalize(augmented(images, draw)))
    whole = torch.empty((*images.shape[:2], size, size), memory_format=memory_format)
    parts = (torch.split(each, at_once) for each in (images, batch.rows, whole))
    for part, rows, place in zip(*parts, strict=True):
        normalize(augmented(part, draw and draw._replace(rows=rows)), place)
    return batch._replace(images=whole)

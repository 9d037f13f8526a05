"""A batch on its way to the network: moved to the device, augmented, normalised."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from labbook.data.augment import Draw
from labbook.data.loader import Batch

# Numbers of a batch that a CPU augments at a time, so that they stay in its cache: two photographs of 256 pixels, which
# takes a third of the time of 128 at once. Another figure would change which numbers augmentation draws.
AUGMENTED = 2**19


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
    normalize: Callable[[Tensor], Tensor],
    memory_format: torch.memory_format,
    size: int,
) -> Batch:
    """The batch with its images augmented, if there is something to draw from, normalised, and of `size` pixels."""

    def changed(images: Tensor, draw: Draw | None) -> Tensor:
        if draw is not None:
            for transform in transforms:
                images = transform(images, draw)
        return normalize(images)

    images = batch.images
    at_once = max(1, AUGMENTED // images[0].numel()) if images.device.type == "cpu" else len(images)
    if at_once >= len(images):
        return batch._replace(images=changed(images, draw))
    whole = torch.empty((*images.shape[:2], size, size), memory_format=memory_format)
    parts = (torch.split(each, at_once) for each in (images, batch.rows, whole))
    for part, rows, place in zip(*parts, strict=True):
        place.copy_(changed(part, draw and draw._replace(rows=rows)))
    return batch._replace(images=whole)

"""A part of a data set, in memory or in a memory map."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

Item = TypeVar("Item")


class Images(NamedTuple):
    """A part of a data set."""

    pixels: Tensor  # uint8 [N, C, H, W]
    labels: Tensor  # int64 [N], or 0 or 1 [N, classes]
    skipped: tuple[str, ...] = ()  # files that are left out, each with the reason
    remarks: tuple[str, ...] = ()  # notes for the user
    files: tuple[str, ...] = ()  # path of each image below the root of the set, [N]; empty if images are not files
    content: str = ""  # equal for equal images: a hash, or the name of a set that never changes
    digests: tuple[str, ...] = ()  # of each file, [N]; of images that are not files, of their pixels if needed
    validation: Tensor | None = None  # bool [N]: the data set's own validation images; None if it has none
    groups: tuple[str, ...] = ()  # of each image, [N]: images of one group are in one part; empty: no groups
    extra: Mapping[str, Tensor] = {}  # further inputs of the network by name, each [N, ...]

    def at(self, rows: Tensor) -> "Images":
        """The images at some rows, int64 [n]."""
        chosen = rows.tolist()
        return self._replace(
            pixels=self.pixels[rows],
            labels=self.labels[rows],
            files=tuple(self.files[row] for row in chosen) if self.files else (),
            digests=tuple(self.digests[row] for row in chosen) if self.digests else (),
            groups=tuple(self.groups[row] for row in chosen) if self.groups else (),
            validation=None if self.validation is None else self.validation[rows],
            extra={name: each[rows] for name, each in self.extra.items()},
        )

    def limited(self, limit: int | None) -> "Images":
        """At most `limit` images, evenly spaced, because images of a folder are in the order of classes."""
        count = len(self.labels)
        return self if limit is None or limit >= count else self.at(evenly_spaced_rows(limit, count))


def evenly_spaced_rows(count: int, total: int) -> Tensor:
    """`count` of `total` rows, evenly spaced, int64 [count]."""
    return torch.arange(count) * total // count


def evenly_spaced(items: Sequence[Item], limit: int | None) -> list[Item]:
    if limit is None or limit >= len(items):
        return list(items)
    return [items[row] for row in evenly_spaced_rows(limit, len(items)).tolist()]


def with_file_hash(images: Images) -> Images:
    """The images with their `content`: a hash of the digests of their files, in their order."""
    return images._replace(content=hashlib.sha256("".join(images.digests).encode()).hexdigest())


def with_content_hash(images: Images) -> Images:
    """The images with their `content`: a hash of pixels and further tensors, unless the data set sets it."""
    if images.content:
        return images
    digest = hashlib.sha256()
    for name, tensor in (("", images.pixels), *sorted(images.extra.items())):
        digest.update(f"{name}{tuple(tensor.shape)!r}".encode())
        for part in torch.split(tensor, 4096):  # of a memory map, which can be larger than the memory
            digest.update(part.contiguous().numpy().reshape(-1).view(np.uint8).data)
    return images._replace(content=digest.hexdigest())

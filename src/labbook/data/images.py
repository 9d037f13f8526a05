"""One part of a data set, in memory or in a memory map."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Images(NamedTuple):
    """One part of a data set."""

    pixels: Tensor  # uint8 [N, C, H, W]
    labels: Tensor  # int64 [N]
    skipped: tuple[str, ...] = ()  # files that were left out, each with the reason
    remarks: tuple[str, ...] = ()  # what else a user should know
    files: tuple[str, ...] = ()  # path of each image below the root of the set, [N]; empty where images are not files
    content: str = ""  # equal where the images are: a hash, or the name of a set that never changes
    digests: tuple[
        str, ...
    ] = ()  # of each image, [N]: of its file's bytes; where it is no file, of its pixels if asked
    validation: Tensor | None = None  # bool [N]: what the set itself has for validation; None where it says nothing
    groups: tuple[str, ...] = ()  # of each image, [N]: those of one group are never divided; empty: there are none
    extra: Mapping[str, Tensor] = {}  # further tensors of the images by name, each [N, ...]: inputs of a network

    def at(self, rows: Tensor) -> "Images":
        """Some of the images, by their int64 rows."""
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
        """At most `limit` images, evenly spread, as those of a folder lie class after class."""
        count = len(self.labels)
        return self if limit is None or limit >= count else self.at(evenly_spaced_rows(limit, count))


def evenly_spaced_rows(count: int, total: int) -> Tensor:
    """`count` of `total` rows, evenly spread, int64 [count]."""
    return torch.arange(count) * total // count


def with_content_hash(images: Images) -> Images:
    """The images with their `content`: a hash of their pixels and further tensors where the data set gives none."""
    if images.content:
        return images
    digest = hashlib.sha256()
    for name, tensor in (("", images.pixels), *sorted(images.extra.items())):
        values = tensor.contiguous().numpy()
        digest.update(f"{name}{values.shape!r}".encode())
        digest.update(values.reshape(-1).view(np.uint8).data)
    return images._replace(content=digest.hexdigest())

"""A record of a run's data in metrics.json, for comparison with the data later. Imports no torch."""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labbook.data.class_folders import to_nfc
from labbook.errors import list_first

if TYPE_CHECKING:  # it would import torch
    from labbook.data.datamodule import ImageDataModule

KEY = "data"  # in metrics.json
TITLES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class PartRecord:
    """A part of a data set: its number of images, and a hash of images and labels."""

    images: int | None  # None: a run of an older version
    content: str
    former: str = ""  # `content` of older versions: a hash of the labels, if the data set has no content

    def is_of(self, now: "PartRecord") -> bool:
        return self.content == now.content or (self.images is None and self.content == now.former)


@dataclass(frozen=True)
class DataRecord:
    """The classes in their order and the parts "train" (including validation), "val" and "test".

    Of a run of an older version only some of it is known.
    """

    class_names: tuple[str, ...]
    parts: Mapping[str, PartRecord]

    @classmethod
    def of(cls, data: "ImageDataModule") -> "DataRecord":
        """The record of a data module after `setup`, without parts that it does not read."""
        parts = {
            part: PartRecord(len(images.labels), part_identity(data, part), part_identity(data, part, by_name=True))
            for part, images in data.parts.items()
            if data.only in (None, part)
        }
        if "train" in parts:
            rows = data.rows["val"]
            parts["val"] = PartRecord(len(rows), hashlib.sha256(rows.numpy().tobytes()).hexdigest()[:8])
        return cls(data.class_names, parts)

    @classmethod
    def read(cls, metrics: Mapping[str, Any], class_names: Iterable[str] = ()) -> "DataRecord":
        """The record in metrics.json; `class_names` are those of the network, if the file does not have them."""
        with suppress(LookupError, TypeError, ValueError):  # a damaged file
            kept = metrics[KEY]
            parts = {part: PartRecord(int(kept[part]["images"]), str(kept[part]["content"])) for part in TITLES}
            return cls(tuple(map(str, kept["class_names"])), parts)
        tested = metrics.get("test_set")
        names = metrics.get("class_names")
        parts = {"test": PartRecord(None, tested)} if isinstance(tested, str) else {}
        return cls(tuple(map(str, names)) if isinstance(names, list) else tuple(class_names), parts)

    def as_data(self) -> dict[str, Any]:
        parts = {name: {"images": part.images, "content": part.content} for name, part in self.parts.items()}
        return {"class_names": list(self.class_names), **parts}

    def changes(self, now: "DataRecord", parts: Iterable[str] = TITLES) -> list[str]:
        """The differences in words; only what both records know is compared."""
        if differing := changed_classes(self.class_names, now.class_names):
            return [differing]
        both = [name for name in parts if name in self.parts and name in now.parts]
        changed = [name for name in both if not self.parts[name].is_of(now.parts[name])]
        if "train" in changed and "val" in changed:  # "val" is a part of "train"
            changed.remove("val")
        return [changed_part(TITLES[name], self.parts[name], now.parts[name]) for name in changed]


def part_identity(data: "ImageDataModule", part: str = "test", by_name: bool = False) -> str:
    """Eight characters that are equal for the same images and labels, whatever their size and channels.

    `by_name`: equal for the same labels and the same class of the data set.
    """
    images = data.parts[part]
    told = (type(data).__name__ if by_name else images.content, data.class_names)
    return hashlib.sha256(repr(told).encode() + images.labels.numpy().tobytes()).hexdigest()[:8]


def changed_classes(was: Iterable[str], now: Iterable[str]) -> str:
    """The difference of the classes in words; empty if there is none, or if the classes were not recorded."""
    one, other = ([to_nfc(name) for name in names] for names in (was, now))
    if one == other or not one:
        return ""
    gone, new = (
        list_first(name for name in one if name not in other),
        list_first(name for name in other if name not in one),
    )
    said = [
        f"class {names} is {how}" if ", " not in names else f"classes {names} are {how}"
        for names, how in ((gone, "gone"), (new, "new"))
        if names
    ]
    return " and ".join(said) or f"the order of the classes was {list_first(one)} and is {list_first(other)}"


def changed_part(title: str, was: PartRecord, now: PartRecord) -> str:
    if was.images in (None, now.images):
        return f"the {title} images are different"
    return f"the {title} images were {was.images:,}, now they are {now.images:,}"

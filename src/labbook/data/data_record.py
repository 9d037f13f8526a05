"""What a run was trained on, kept in its metrics.json and compared with what is there later. Imports no torch."""

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
    """One part of a data set: its number of images, and characters that are equal where images and labels are."""

    images: int | None  # None: a run of before did not say
    content: str
    former: str = ""  # `content` as runs kept it that looked at labels alone, where a data set names no content

    def is_of(self, now: "PartRecord") -> bool:
        """Whether this tells of the same images."""
        return self.content == now.content or (self.images is None and self.content == now.former)


@dataclass(frozen=True)
class DataRecord:
    """The classes in their order and the parts "train" (with what is held out of it), "val" and "test", by name.

    A run of before records were kept has what it noted instead, which may be nothing.
    """

    class_names: tuple[str, ...]
    parts: Mapping[str, PartRecord]

    @classmethod
    def of(cls, data: "ImageDataModule") -> "DataRecord":
        """That of a data module that is set up, without a part that it does not read."""
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
        """That of a run's metrics.json; `class_names` are those of its network, where the file does not say them."""
        with suppress(LookupError, TypeError, ValueError):  # of a damaged file, which says nothing
            kept = metrics[KEY]
            parts = {part: PartRecord(int(kept[part]["images"]), str(kept[part]["content"])) for part in TITLES}
            return cls(tuple(map(str, kept["class_names"])), parts)
        tested = metrics.get("test_set")
        names = metrics.get("class_names")
        parts = {"test": PartRecord(None, tested)} if isinstance(tested, str) else {}
        return cls(tuple(map(str, names)) if isinstance(names, list) else tuple(class_names), parts)

    def as_data(self) -> dict[str, Any]:
        """Plain data for metrics.json."""
        parts = {name: {"images": part.images, "content": part.content} for name, part in self.parts.items()}
        return {"class_names": list(self.class_names), **parts}

    def changes(self, now: "DataRecord", parts: Iterable[str] = TITLES) -> list[str]:
        """What is not as it was, in words; only what both records know is compared."""
        if differing := changed_classes(self.class_names, now.class_names):
            return [differing]
        both = [name for name in parts if name in self.parts and name in now.parts]
        changed = [name for name in both if not self.parts[name].is_of(now.parts[name])]
        if "train" in changed and "val" in changed:  # which is a part of it
            changed.remove("val")
        return [changed_part(TITLES[name], self.parts[name], now.parts[name]) for name in changed]


def part_identity(data: "ImageDataModule", part: str = "test", by_name: bool = False) -> str:
    """Eight characters that are equal where the images of a part are, whatever size and colours they are shown in.

    `by_name`: where the labels are, of two data sets of one class.
    """
    images = data.parts[part]
    told = (type(data).__name__ if by_name else images.content, data.class_names)
    return hashlib.sha256(repr(told).encode() + images.labels.numpy().tobytes()).hexdigest()[:8]


def changed_classes(was: Iterable[str], now: Iterable[str]) -> str:
    """How the classes differ, in words; nothing where they do not, or it is not known what they were."""
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
    """How a part differs, in words."""
    if was.images in (None, now.images):
        return f"the {title} images are different"
    return f"the {title} images were {was.images:,}, now they are {now.images:,}"

"""Image sets of the Hugging Face hub, or saved by its library `datasets`, which is an extra."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import PositiveInt

from labbook.config.path_rules import expand_user
from labbook.data import split as splitting
from labbook.data.datamodule import ImageDataModule, Part
from labbook.data.decoding import Decoded, Decoding, Resize, decode_bytes
from labbook.data.image_spec import ImageSpec
from labbook.data.images import Images, evenly_spaced_rows
from labbook.data.normalization import Normalize
from labbook.data.photographs import TEST_FRACTION
from labbook.data.split import ValSplit
from labbook.errors import SettingError, first_line, list_choices, missing_package_message

VALIDATION = ("validation", "valid", "val", "dev")  # names of that split
OPTIONS = ("name", "revision", "data_dir", "data_files")  # of load_dataset
AT_ONCE = 512  # images that are in memory as files


class HuggingFace(ImageDataModule):
    """The set `name` of the hub, or a folder that `save_to_disk` has written; all its images are kept in memory.

    Images and labels are the columns with the features Image and ClassLabel; of several, `image_column` and
    `label_column` say which. The split `validation` is the validation part, or the test set if there is no `test`. If
    there is neither, a fifth of each class is the test set, by a hash of the images. `root` is the cache of the
    library; None: its default. `options` go to `load_dataset` of the library.

    Raises:
        SettingError: a set that cannot be loaded, or has other columns or splits.
    """

    native_size = 64
    native_normalize: Normalize = "imagenet"

    def __init__(
        self,
        *,
        name: str | None = None,
        options: dict[str, Any] | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        root: str | None = None,
        image_size: PositiveInt | None = None,
        resize: Resize | None = None,
        channels: Literal[1, 3] | None = None,
        normalize: Normalize | None = None,
        val_split: ValSplit = "stratified",
        only: Part | None = None,
        **shared: Any,
    ) -> None:
        if not name:
            raise SettingError("data.name is not set: give a set of the Hugging Face hub, as in data.name=OWNER/NAME")
        if not find_spec("datasets"):
            raise SettingError(f"data=huggingface: {missing_package_message('its library', 'datasets')}")
        if unknown := sorted((options or {}).keys() - set(OPTIONS)):
            raise SettingError(f"data.options.{unknown[0]} is unknown; {list_choices(unknown[0], OPTIONS)}")
        self.dataset, self.options, self.cache = name, dict(options or {}), expand_user("data.root", root or "")
        self.resize: Resize = resize or "squash"
        self.joins_validation = bool(shared.get("folds"))  # of which each image is in one fold
        from datasets import ClassLabel, Image

        features = next(iter(self._splits().values())).features
        self.image_column = self._column(features, Image, image_column, "data.image_column")
        self.label_column = self._column(features, ClassLabel, label_column, "data.label_column")
        self.class_names = tuple(features[self.label_column].names)
        super().__init__(
            root=root or "data", image_size=image_size, channels=channels, normalize=normalize, val_split=val_split,
            only=only, **shared,
        )  # fmt: skip

    @property
    def title(self) -> str:
        """As the hub calls it."""
        return self.dataset

    @classmethod
    def read_at(cls, spec: ImageSpec) -> tuple[int, int]:
        """As the network sees them."""
        return spec.size, spec.channels

    def at_hand(self) -> bool:
        """Whether it is a folder; of what the library has in its cache nothing is known."""
        return Path(self.dataset).is_dir()

    def read(self) -> tuple[Images, Images]:
        """Both parts, decoded; no image of a part that is not read."""
        splits = self._splits()
        if "train" not in splits:
            raise SettingError(f"data.name={self.dataset} has no split train, but {', '.join(splits)}")
        val = next((name for name in VALIDATION if name in splits), None)
        test = "test" if "test" in splits else val
        val = val if val != test else None
        own = val is not None and self.validation == "split" and not self.joins_validation
        names = ["train", *([val] if val and (own or self.joins_validation) else [])]
        if test is None:
            images = self._decoded([splits["train"]])
            fifth = splitting.stratified_split(images.labels, images.digests, TEST_FRACTION, "test")
            remark = f"{self.dataset} has no test set: a fifth of each class, by a hash of the images, is the test set"
            train, held_out = (with_content(images.at(rows)) for rows in fifth)
            return train._replace(remarks=(remark,)), held_out
        train = self._decoded([splits[name] for name in names if self.only != "test"], own)
        return train, self._decoded([splits[test]] if self.only != "train" else [])

    def _splits(self) -> Mapping[str, Any]:
        """The splits by name, each a Dataset of the library."""
        try:
            return load_splits(self.dataset, self.cache, json.dumps(self.options, sort_keys=True))
        except Exception as error:  # each server and format has its own
            raise SettingError(
                f"data.name={self.dataset} cannot be loaded ({first_line(error) or type(error).__name__}): check"
                " data.name and data.options, and HF_HUB_OFFLINE"
            ) from error

    def _column(self, features: Mapping[str, Any], kind: type, given: str | None, setting: str) -> str:
        found = [name for name, feature in features.items() if isinstance(feature, kind)]
        if given is not None and given not in found:
            raise SettingError(f"{setting}={given} is no column of {kind.__name__}; {list_choices(given, found)}")
        if given is None and len(found) != 1:
            columns = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in features.items())
            raise SettingError(
                f"data.name={self.dataset} needs one column of {kind.__name__} and has {len(found)}, in {columns}:"
                f" give {setting}=NAME, or choose another set"
            )
        return given or found[0]

    def _decoded(self, parts: list[Any], own_validation: bool = False) -> Images:
        """The images of some splits, as many as asked for; all but those of the first may be for validation.

        Raises:
            SettingError: one cannot be decoded.
        """
        how = Decoding(self.image_size, self.channels, resize=self.resize)
        images, labels, digests = [torch.empty(0, how.channels, how.side, how.side, dtype=torch.uint8)], [], []
        total = sum(part.num_rows for part in parts)
        spread = evenly_spaced_rows(min(self.limit or total, total), total)
        held_out = spread >= parts[0].num_rows if parts and own_validation else None
        rows = spread.tolist()
        for part in parts:
            chosen = part.select([row for row in rows if row < part.num_rows])
            rows = [row - part.num_rows for row in rows if row >= part.num_rows]
            for place, each in enumerate(decoded_rows(chosen, self.image_column, how)):
                if each.image is None:
                    raise SettingError(f"data.name={self.dataset}: image {place} of {part.split} {each.problem}")
                images.append(torch.from_numpy(each.image)[None])
                digests.append(each.digest)
            labels += chosen[self.label_column][:]
        found = Images(torch.cat(images), torch.tensor(labels, dtype=torch.int64), digests=tuple(digests))
        return with_content(found._replace(validation=held_out))


def with_content(images: Images) -> Images:
    """With a hash of the files' bytes, in their order."""
    return images._replace(content=hashlib.sha256("".join(images.digests).encode()).hexdigest())


def decoded_rows(part: Any, column: str, how: Decoding) -> Iterator[Decoded]:
    """What becomes of each image of a split, in order; all cores decode."""
    from datasets import Image

    files = part.select_columns([column]).cast_column(column, Image(decode=False))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, part.num_rows, AT_ONCE):
            yield from pool.map(lambda file: decoded_file(file, how), files[start : start + AT_ONCE][column])


def decoded_file(file: Mapping[str, Any] | None, how: Decoding) -> Decoded:
    """What becomes of an image as the library keeps it: its bytes, or the path of a file."""
    if not file or (file.get("bytes") is None and not file.get("path")):
        return Decoded(None, "is empty")
    try:
        return decode_bytes(file["bytes"] if file.get("bytes") is not None else Path(file["path"]).read_bytes(), how)
    except OSError as error:
        return Decoded(None, f"cannot be read ({error})")


@lru_cache(maxsize=2)
def load_splits(name: str, cache: str, options: str) -> Mapping[str, Any]:
    """The splits of a set; of one that is not divided all of it is `train`."""
    import datasets

    folder = Path(name)
    if any((folder / file).is_file() for file in ("dataset_dict.json", "state.json")):
        found = datasets.load_from_disk(name)
    else:
        found = datasets.load_dataset(name, cache_dir=cache or None, **json.loads(options))
    return found if isinstance(found, dict) else {"train": found}

"""Image sets of the Hugging Face hub, or saved by its library `datasets`, which is an extra."""

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from labbook.config.path_rules import expand_user
from labbook.data.decoding import Decoded, Decoding, decode_bytes
from labbook.data.image_files import NamedDataset
from labbook.data.images import Images, evenly_spaced_rows, with_file_hash
from labbook.data.split import TEST_FRACTION, stratified_split
from labbook.errors import SettingError, first_line, list_choices, missing_package_message

VALIDATION = ("validation", "valid", "val", "dev")  # names of that split
OPTIONS = ("name", "revision", "data_dir", "data_files")  # of load_dataset
AT_ONCE = 512  # images that are in memory as files


class HuggingFace(NamedDataset):
    """The set `name` of the hub, or a folder that `save_to_disk` has written; all its images are kept in memory.

    Images and labels are the columns with the features Image and ClassLabel; of several, `image_column` and
    `label_column` name one. The split `validation` is the validation split, or the test set if there is no `test` with
    labels.
    `root` is the cache of the library; None: its default. `options` are passed to the library's `load_dataset`.
    """

    missing_name = "give a set of the Hugging Face hub, as in data.name=OWNER/NAME"

    def __init__(
        self,
        *,
        image_column: str | None = None,
        label_column: str | None = None,
        root: str | None = None,
        **shared: Any,
    ) -> None:
        self.columns = image_column, label_column
        self.cache = expand_user("data.root", root or "")
        super().__init__(root=root or "data", **shared)

    def open_set(self) -> tuple[str, ...]:
        if not find_spec("datasets"):
            raise SettingError(f"data=huggingface: {missing_package_message('its library', 'datasets')}")
        if unknown := sorted(self.options.keys() - set(OPTIONS)):
            raise SettingError(f"data.options.{unknown[0]} is unknown; {list_choices(unknown[0], OPTIONS)}")
        from datasets import ClassLabel, Image

        features = next(iter(self._splits().values())).features
        self.image_column = self._column(features, Image, self.columns[0], "data.image_column")
        self.label_column = self._column(features, ClassLabel, self.columns[1], "data.label_column")
        return tuple(features[self.label_column].names)

    def at_hand(self) -> bool:
        """Whether it is a folder; the library does not say what is in its cache."""
        return Path(self.dataset).is_dir()

    def read(self) -> tuple[Images, Images]:
        found = self._splits()
        splits = {name: part for name, part in found.items() if min(part[self.label_column][:], default=0) >= 0}
        unlabelled = tuple(f"split {name} has no labels and is not used" for name in found if name not in splits)
        if "train" not in splits:
            raise SettingError(f"data.name={self.dataset} has no split train with labels, but {', '.join(found)}")
        val = next((name for name in VALIDATION if name in splits), None)
        test = "test" if "test" in splits else val
        if test is None:
            images = self._decoded([splits["train"]])
            division = stratified_split(images.labels, images.digests, TEST_FRACTION, "test")
            train, held_out = (with_file_hash(images.at(rows)) for rows in division)
            return train._replace(remarks=(*unlabelled, self.drawn_test_remark())), held_out
        names = ["train", *([val] if val and val != test and self.validation == "split" else [])]
        own = len(names) > 1 and not self.folds
        train = self._decoded([splits[name] for name in names if self.only != "test"], own)
        return train._replace(remarks=unlabelled), self._decoded([splits[test]] if self.only != "train" else [])

    def _splits(self) -> Mapping[str, Any]:
        try:
            return load_splits(self.dataset, self.cache, json.dumps(self.options, sort_keys=True))
        except Exception as error:  # each server and format has its own
            raise SettingError(
                f"data.name={self.dataset} cannot be loaded ({first_line(error) or type(error).__name__}): check"
                " data.name and data.options, and HF_HUB_OFFLINE"
            ) from error

    def _column(self, features: Mapping[str, Any], kind: type, given: str | None, setting: str) -> str:
        found = [name for name, feature in features.items() if isinstance(feature, kind)]
        columns = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in features.items())
        if not found:
            how = " or make one with class_encode_column of its library," if kind.__name__ == "ClassLabel" else ""
            raise SettingError(
                f"data.name={self.dataset} has no column of {kind.__name__}, but {columns}:{how} choose another set"
            )
        if given is not None and given not in found:
            raise SettingError(f"{setting}={given} is no column of {kind.__name__}; {list_choices(given, found)}")
        if given is None and len(found) != 1:
            raise SettingError(
                f"data.name={self.dataset} needs one column of {kind.__name__} and has {len(found)}, in {columns}:"
                f" give {setting}=NAME, or choose another set"
            )
        return given or found[0]

    def _decoded(self, parts: list[Any], own_validation: bool = False) -> Images:
        """The images of some splits, `limit` at most; with `own_validation`, the later splits are for validation."""
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
        some = held_out is not None and bool(held_out.any())  # `limit` can leave none
        return with_file_hash(found._replace(validation=held_out if some else None))


def decoded_rows(part: Any, column: str, how: Decoding) -> Iterator[Decoded]:
    """The images of a split in their order, decoded on all cores."""
    from datasets import Image

    files = part.select_columns([column]).cast_column(column, Image(decode=False))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, part.num_rows, AT_ONCE):
            yield from pool.map(lambda file: decoded_file(file, how), files[start : start + AT_ONCE][column])


def decoded_file(file: Mapping[str, Any] | None, how: Decoding) -> Decoded:
    """An image as the library stores it: its bytes, or the path of a file."""
    if not file or (file.get("bytes") is None and not file.get("path")):
        return Decoded(None, "is empty")
    try:
        return decode_bytes(file["bytes"] if file.get("bytes") is not None else Path(file["path"]).read_bytes(), how)
    except OSError as error:
        return Decoded(None, f"cannot be read ({error})")


@lru_cache(maxsize=2)
def load_splits(name: str, cache: str, options: str) -> Mapping[str, Any]:
    """The splits of a set by name; a set without splits is `train`."""
    import datasets

    folder = Path(name)
    if any((folder / file).is_file() for file in ("dataset_dict.json", "state.json")):
        found = datasets.load_from_disk(name)
    else:
        found = datasets.load_dataset(name, cache_dir=cache or None, **json.loads(options))
    return found if isinstance(found, dict) else {"train": found}

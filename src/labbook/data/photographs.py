"""The base of folders of classes and tables of labels: image files, decoded once into a cache."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from annotated_types import Gt, Lt
from pydantic import PositiveInt

from labbook.config.path_rules import expand_user, short_file_name
from labbook.data.datamodule import Part
from labbook.data.decoding import Decoding
from labbook.data.duplicates import Duplicates, file_digests, find_duplicates, image_count
from labbook.data.image_cache import Labelled, Photographs, cached_images
from labbook.data.image_depth import Range
from labbook.data.image_files import ImageFileData, as_range
from labbook.data.image_spec import class_counts
from labbook.data.images import Images, evenly_spaced
from labbook.data.split import TEST_FRACTION, ValSplit, chosen_names, stratified_split
from labbook.errors import SettingError, list_first, printable

OnCorrupt = Literal["raise", "skip"]
Fraction = Annotated[float, Gt(0), Lt(1)]


class Listing(NamedTuple):
    """The files of a data set, and notes for the user."""

    train: list[Labelled]  # including validation
    test: list[Labelled]
    train_remarks: tuple[str, ...] = ()
    test_remarks: tuple[str, ...] = ()


class PhotographData(ImageFileData):
    """Image files in the formats of `image_formats.FORMATS`, decoded once into a cache.

    With a `decode_size` larger than `image_size`, images are stored in that size: `random_resized_crop` crops them in
    training; otherwise the center is used. `on_corrupt` is for unreadable files and files in two classes. `range` is
    [BLACK, WHITE] of images with more than 8 bits; None: of the file's bits. With auto it is [0, 2^n - 1], for the
    smallest n of 8, 10, 12, 14, 16 that holds the image. If the data set has no test set, it is `test_fraction` of the
    images of each class. These are the same in every run, for any `val_seed`.
    """

    draws_test = False  # whether the test set is drawn from all images
    test_may_lack_classes = False

    def __init__(
        self,
        *,
        root: str,
        on_corrupt: OnCorrupt = "raise",
        val_split: ValSplit = "stratified",
        test_fraction: Fraction | None = None,
        range: Range = None,  # noqa: A002 - the setting's name
        decode_size: PositiveInt | None = None,
        cache_dir: str = "data/cache",
        only: Part | None = None,
        **options: Any,
    ) -> None:
        self.on_corrupt, self.cache_dir = on_corrupt, Path(expand_user("data.cache_dir", cache_dir))
        if val_split == "last" and only is None:  # a run of an older version can be tested
            raise SettingError(
                "data.val_split=last holds out whole classes of a folder, as its images are in the order of classes:"
                " use stratified or random"
            )
        self.range = as_range(range)
        if isinstance(self.range, tuple) and self.range[0] >= self.range[1]:
            raise SettingError(
                f"data.range={list(self.range)} must be of two numbers, black and white, the smaller first"
            )
        self.test_fraction = test_fraction
        super().__init__(root=root, val_split=val_split, only=only, **options)
        self.stored_size = decode_size or self.image_size
        if self.stored_size < self.image_size:
            raise SettingError(f"data.decode_size={decode_size} is less than data.image_size={self.image_size}")

    # What a data set adds --------------------------------------------------------------------------------------------

    @abstractmethod
    def listing(self) -> Listing:
        """The files of both parts by class; none of a part that is not read."""

    @abstractmethod
    def where(self, part: Part, name: str = "") -> str:
        """The name of a part, or of a class in it, for messages."""

    # Reading ---------------------------------------------------------------------------------------------------------

    def read(self) -> tuple[Images, Images]:
        """Both parts, from the cache or decoded into it; only `limit` images of each, evenly spaced."""
        listing = self.listing()
        files = [evenly_spaced(part, self.limit) for part in (listing.train, listing.test)]
        train, test = self._decoded(files)
        self._refuse_unreadable([*train.images.skipped, *test.images.skipped], sum(map(len, files)))
        found = find_duplicates(train, test)
        if found.contradictions:
            self._refuse_contradictions(found.contradictions)
            doubtful = [
                [file for file, digest in zip(part.files, part.images.digests, strict=True) if digest in found.doubtful]
                for part in (train, test)
            ]
            files = [[file for file in part if file not in out] for part, out in zip(files, doubtful, strict=True)]
            named = ([f"{printable(file.path)}, which is in two classes" for file in out] for out in doubtful)
            train, test = (
                part._replace(images=part.images._replace(skipped=(*part.images.skipped, *out)))
                for part, out in zip(self._decoded(files), named, strict=True)
            )
            found = find_duplicates(train, test)
        if self.only is None and self.limit is None:
            self._refuse_empty_classes(train, test)
        train_images, test_images = (
            part.images._replace(
                remarks=(*some, *self._remarked(part.remarks)),
                files=self._below_root(part),
                labels=part.images.labels.reshape(-1, len(self.class_names)) if self.multilabel else part.images.labels,
            )
            for part, some in (
                (train, (*listing.train_remarks, *self._copied(found))),
                (test, (*listing.test_remarks, *self._untested(test), *self._leaked(found.leaks))),
            )
        )
        return train_images, test_images

    def choose_test_fraction(self, has_test: bool, fraction: float | None, only: Part | None) -> float | None:
        """The fraction of the test set to draw; also sets `draws_test`. Call it before the constructor of the base."""
        if not has_test and only is None:
            fraction = fraction or TEST_FRACTION
            self.decided = {"test_fraction": fraction}
        self.draws_test = not has_test and fraction is not None
        return fraction

    def draw_test(self, files: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
        """Training and test files of a data set without a test set: `test_fraction` of each class, drawn by content.

        Files for validation stay so. Equal files, and files of one group, are in one part.
        """
        free = [file for file in files if not file.validation]
        memory = self.cache_dir / f"{blake2b(str(Path(self.root).absolute()).encode(), digest_size=8).hexdigest()}.json"
        digests = file_digests([file.path for file in free], memory)
        groups = [file.group or digest for file, digest in zip(free, digests, strict=True)]
        labels = torch.tensor([file.label for file in free])
        rows = stratified_split(labels, digests, self.test_fraction or TEST_FRACTION, "test", groups).val.tolist()
        if not rows:
            raise SettingError(
                f"{self.where('train')} has no class of two images, or groups, to divide into training and test"
            )
        drawn = {free[row].path for row in rows}
        return [file for file in files if file.path not in drawn], [free[row] for row in rows]

    def _below_root(self, part: Photographs) -> tuple[str, ...]:
        """The path of each image below `data.root`, with forward slashes; the whole path of other files."""
        paths = (file.path for file in part.files)
        root = Path(self.root)
        return tuple((path.relative_to(root) if path.is_relative_to(root) else path).as_posix() for path in paths)

    def _decoded(self, files: Sequence[Sequence[Labelled]]) -> tuple[Photographs, Photographs]:
        """Both parts: training images in the stored size, and the center of test images."""
        how = Decoding(self.stored_size, self.channels, self.range, self.resize)
        middle = how if self.stored_size == self.image_size else how._replace(centre=self.image_size)
        train, test = (
            cached_images(part, how, self.cache_dir, f"images of {where}") if part else Photographs.none(how)
            for part, how, where in zip(files, (how, middle), (self.where("train"), self.where("test")), strict=True)
        )
        return train, test

    # What cannot be trusted ----------------------------------------------------------------------------------------

    def _refuse_unreadable(self, skipped: list[str], count: int) -> None:
        if skipped and self.on_corrupt == "raise":
            raise SettingError(
                f"{len(skipped):,} of {count:,} files cannot be read as images, the first is {skipped[0]}"
                f"{self._listed('unreadable', skipped, '; all are listed in ')}; data.on_corrupt=skip leaves them out"
            )

    def _refuse_contradictions(self, pairs: list[str]) -> None:
        if self.on_corrupt == "raise":
            raise SettingError(
                f"{image_count(pairs)} in two classes: {pairs[0]} are the same file"
                f"{self._listed('contradictions', pairs, '; all are listed in ')}: delete the wrong ones, or leave both"
                " of each out with data.on_corrupt=skip"
            )

    def _refuse_empty_classes(self, train: Photographs, test: Photographs) -> None:
        parts: list[tuple[Part, Photographs]] = [("train", train), ("test", test)]
        for part, photographs in parts[:1] if self.draws_test or self.test_may_lack_classes else parts:
            for name, count in zip(self.class_names, self._counts(photographs).tolist(), strict=True):
                if count == 0:
                    raise SettingError(
                        f"{self.where(part, name)} has no image that can be used: every class needs at least one"
                    )

    def _counts(self, part: Photographs) -> torch.Tensor:
        return class_counts(part.images.labels, len(self.class_names))

    # Notes ---------------------------------------------------------------------------------------------------------

    def _untested(self, test: Photographs) -> list[str]:
        if not (self.draws_test or self.test_may_lack_classes) or self.limit is not None or not test.files:
            return []
        missing = chosen_names(self.class_names, self._counts(test) == 0)
        why = ": one image, or one group, is not divided" if self.draws_test else ""
        return [f"the test has no image of {missing}{why}"] if missing else []

    def _remarked(self, remarks: Mapping[str, Sequence[Path]]) -> list[str]:
        found = []
        for remark, paths in remarks.items():
            have = "image has" if len(paths) == 1 else "images have"
            found.append(f"{len(paths):,} {have} {remark}: {list_first(map(str, paths), 1)}")
        return found

    def _copied(self, found: Duplicates) -> list[str]:
        both = found.seen_in_training
        too_good = "in validation and in training, so validation metrics are too good"
        shared = [f"{image_count(both)} {too_good}: {list_first(both, 1)}"] if both else []
        if not found.copies:
            return shared
        where = self._listed("copies", found.copies)
        return [*shared, f"{image_count(found.copies)} the same file as another of their class and part{where}"]

    def _leaked(self, pairs: list[str]) -> list[str]:
        if not pairs:
            return []
        where = self._listed("leaks", pairs)
        return [f"{image_count(pairs)} also in training, so test metrics are too good: {list_first(pairs, 1)}{where}"]

    def _listed(self, kind: str, lines: Sequence[str], words: str = ", listed in ") -> str:
        """Write all lines to a file beside the cache; some words and its name, or nothing if it cannot be written."""
        path = self.cache_dir / f"{short_file_name(Path(self.root).name) or 'images'}.{kind}.txt"
        text = "".join(f"{line}\n" for line in lines)
        with suppress(OSError):
            if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
                path.write_text(text, encoding="utf-8")
            return f"{words}{path}"
        return ""
